"""Bells between processes: who wrote something rings who waits for it.

Datagrams on unix sockets, never blocking and carrying nothing: a ring only means "look at the store". A
lost ring is no error, so whoever waits also looks at the database's `data_version` now and then.
"""

from __future__ import annotations


class Watcher:
    """A front end's own bell. `fileno()` suits select and asyncio."""

    def fileno(self) -> int:
        raise NotImplementedError

    def wait(self, timeout_s: float) -> bool:
        """Whether it rang within the time; takes all rings that came."""
        raise NotImplementedError

    def close(self) -> None:
        """Take the bell down. Safe to repeat."""
        raise NotImplementedError
