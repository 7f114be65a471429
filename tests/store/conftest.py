"""A real database in a folder of its own, and jobs to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.core.jobs import JobSpec
from jobs.store.intents import Intents
from jobs.store.queries import Queries
from jobs.store.writer import Store

SPEC = JobSpec(name="true", argv=("true",), cwd="/", env_digest="0" * 40)


def spec(name: str = "true", **changes: object) -> JobSpec:
    return replace(SPEC, name=name, **changes)  # type: ignore[arg-type]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "cro.db"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    store = Store(database)
    yield store
    store.close()


@pytest.fixture
def intents(database: Path) -> Iterator[Intents]:
    intents = Intents(database)
    yield intents
    intents.close()


@pytest.fixture
def queries(database: Path) -> Iterator[Queries]:
    queries = Queries(database)
    yield queries
    queries.close()
