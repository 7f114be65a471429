"""Builds the environment of a recipe, as a job."""
