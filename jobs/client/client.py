"""All calls of a front end in one object."""

from __future__ import annotations

from jobs.client.forecasts import Foreseeing
from jobs.client.machine import Processes
from jobs.client.optimizations import Optimizing
from jobs.client.secrets import Secrets


class Client(Optimizing, Foreseeing, Processes, Secrets):
    """One installation, seen from a front end. May be shared by threads; close it when done.

    Every call can raise `StateUnavailable` when the files are locked, damaged or from a newer version.
    Reading never waits long; writing waits up to some seconds for its turn: a screen calls it off its own
    thread.
    """
