"""Secrets, as a front end sees them: set, named, removed; their values are never given back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.client.connection import StoreConnection

if TYPE_CHECKING:
    from jobs.store.secrets import Secret


class Secrets(StoreConnection):
    def set_secret(self, name: str, value: str) -> None:
        """Keep a value for jobs whose recipe names it. Raises BadInput, Unreachable."""
        from jobs.store.secrets import keep

        keep(self.home.secrets, name, value)

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret by name, and when it was set."""
        from jobs.store.secrets import names

        return names(self.home.secrets)

    def remove_secret(self, name: str) -> None:
        """Forget it; jobs that name it and have not started yet will not start. Raises BadInput."""
        from jobs.store.secrets import remove

        remove(self.home.secrets, name)
