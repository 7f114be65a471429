"""Finished runs and registered models, shown to MLflow as its own; `mirror.py` alone loads it."""
