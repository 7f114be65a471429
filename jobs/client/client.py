"""One installation, as everything that uses it from outside sees it: parts by what they are about.

    jobs            submit, optimize, retry, cancel, hold, release, list, wait
    runs            what attempts printed, reported, used and left: logs, curves, files
    groups          sweeps and optimizations as a whole
    forecasts       why a job waits, when it starts, what is free, what would be
    recipes         the recipes that can be queued
    environments    what recipes with packages of their own run in
    models          the registry
    services        models that answer over HTTP
    machine         size, load, processes
    secrets         values that jobs get as variables
    scheduler       the process behind it all: start, stop, status, watch

Each is named for what a person would look for; to act on jobs is in `jobs`, as to act on groups is in
`groups`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from jobs.client.connection import Connection
from jobs.client.environments import Environments
from jobs.client.forecasts import Forecasts
from jobs.client.groups import Groups
from jobs.client.jobs import Jobs
from jobs.client.machine import Machine
from jobs.client.models import Models
from jobs.client.recipes import Recipes
from jobs.client.runs import Runs
from jobs.client.scheduler import Scheduler
from jobs.client.secrets import Secrets
from jobs.client.services import Services
from jobs.core.ports import Clock
from jobs.installation.home import Home
from jobs.installation.settings import Settings


class Client:
    """All parts over one connection. Threads may share it; close it, or use it in a `with`, when done.

    Every call can raise StateUnavailable when the files are locked, damaged or of a newer version. Reading
    never waits long; writing waits up to some seconds for its turn: a screen calls it off its own thread.
    `environ` are the variables that a job gets whose request names none.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        *,
        clock: Clock = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.home = home
        self.settings = settings
        self.connection = Connection(home, settings, clock, environ)
        self.scheduler = Scheduler(self.connection)
        self.machine = Machine(self.connection)
        self.secrets = Secrets(self.connection)
        self.environments = Environments(self.connection)
        self.recipes = Recipes(self.connection)
        self.runs = Runs(self.connection)
        self.jobs = Jobs(self.connection, self.scheduler, self.recipes)
        self.groups = Groups(self.connection, self.recipes)
        self.forecasts = Forecasts(self.connection, self.recipes)
        self.models = Models(self.connection, self.recipes)
        self.services = Services(self.connection, self.jobs, self.runs, self.models)

    @classmethod
    def open(cls) -> Self:
        """The installation that CRO_HOME names, else this user's. Raises BadInput for settings that cannot
        be used."""
        home = Home.find()
        return cls(home, Settings.load(home.settings_file))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the database. Safe to repeat; jobs and scheduler continue."""
        self.connection.close()
