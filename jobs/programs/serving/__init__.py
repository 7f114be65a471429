"""Registered models that answer over HTTP: the program inside a service job, and how one is recognised."""
