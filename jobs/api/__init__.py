"""The only door for front ends: what a person can do to the queue, and what they can see of it.

Checks every wish before it is written, writes it as an intent, rings the scheduler, and reads consistent
snapshots. It never changes a job row and never talks to a job. Importing it stays cheap: recipes, sensors
and the rules load with the first call that needs them.
"""

from __future__ import annotations

from jobs.api.foreseeing import Foreseeing
from jobs.api.optimizing import Optimizing
from jobs.api.processes import Processes
from jobs.api.secrets import Secrets


class Api(Optimizing, Foreseeing, Processes, Secrets):
    """One installation, seen from a front end. May be shared by threads; close it when done.

    Every call can raise `Unreachable` when the files are locked, damaged or from a newer version. Reading
    never waits long; writing waits up to some seconds for its turn: a screen calls it off its own thread.
    """
