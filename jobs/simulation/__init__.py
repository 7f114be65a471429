"""Replays of job traces under the product's own decisions, in virtual time. Pure; runs no job."""
