"""Environments of recipes whose packages are not installed here, and the program that builds them."""
