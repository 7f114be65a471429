"""Environments of recipes whose packages this installation does not have, and the program that builds them."""
