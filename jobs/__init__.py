"""The queue and its scheduler, usable without a terminal. `docs/architecture.md` shows the floors."""

__version__ = "0.2.0"
