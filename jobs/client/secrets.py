"""`client.secrets`: values that recipes name and jobs get as variables. They are never given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.client.connection import Connection

if TYPE_CHECKING:
    from jobs.store.secrets import Secret


class Secrets:
    def __init__(self, connection: Connection) -> None:
        self._folder = connection.home.secrets

    def set(self, name: str, value: str) -> None:
        """Keep a value for jobs whose recipe names it, or replace it. `name` is a variable's: HF_TOKEN.

        Raises BadInput (no such name, an empty value, more than 64 KiB), StateUnavailable.
        """
        from jobs.store.secrets import keep

        keep(self._folder, name, value)

    def list(self) -> tuple[Secret, ...]:
        """Every secret by name, with the time it was set; without its value."""
        from jobs.store.secrets import names

        return names(self._folder)

    def remove(self, name: str) -> None:
        """Forget it; jobs that name it and have not started yet will not start. Raises BadInput."""
        from jobs.store.secrets import remove

        remove(self._folder, name)
