"""Environments of recipes whose packages are not installed here: what they need, and where they lie."""
