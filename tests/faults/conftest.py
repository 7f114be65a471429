"""Fixtures of the fault tests: the real installation of the daemon's tests."""

from __future__ import annotations

from tests.daemon.conftest import cores, empty_database, installation

__all__ = ["cores", "empty_database", "installation"]
