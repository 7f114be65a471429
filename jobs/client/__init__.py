"""The one way in for front ends: what a person can do to the queue, and what they can see of it.

Every request is checked, written as an intent and announced to the scheduler; what is read is one
consistent snapshot. Nothing here changes a job's row or talks to a job. Importing it stays cheap: recipes,
sensors and the rules of the scheduler are loaded by the first call that needs them.
"""

from jobs.client.client import Client

__all__ = ["Client"]
