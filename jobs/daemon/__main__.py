"""`python -m jobs.daemon`: the scheduler's process. One for each installation, started by whoever needs it.

Takes the lock, builds the parts and runs the loop. Stopping it stops no job: supervisors outlive it, and
the next one takes over what it finds.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jobs.core.ports import CroError
from jobs.installation.home import Home
from jobs.installation.settings import Settings

LOG_BYTES = 1024 * 1024
DAMAGES = 3  # databases that may break under one scheduler before it gives up


def main(argv: Sequence[str] | None = None) -> int:
    """Run until told to leave. Exit codes: 0 left in order, 1 could not start, 3 another one runs."""
    options = _options(argv)
    home = Home.find()
    if options.data is not None:
        home = Home(options.data, options.settings or options.data / "settings.toml")
    if options.detach and os.fork() > 0:
        os._exit(0)  # the caller waits for this parent only
    try:
        return serve(home, ready_fd=options.ready_fd, to_terminal=not options.detach)
    except CroError as error:
        print(error, file=sys.stderr)
        return 1


def serve(home: Home, *, ready_fd: int | None = None, to_terminal: bool = True) -> int:
    """Be the scheduler of this installation. Raises CroError when it cannot start."""
    import time

    from jobs.installation import daemon_lock
    from jobs.store.schema import has_intents

    home.make()
    settings = Settings.load(home.settings_file)
    logs = False
    while True:
        lock = daemon_lock.take(home.scheduler_lock, os.getpid(), time.time())
        if lock is None:
            print("Another scheduler runs already.", file=sys.stderr)
            return 3
        try:
            if not logs:
                _log(home, to_terminal=to_terminal)
                logs = True
            was_idle = _run(home, settings, ready_fd)
        finally:
            os.close(lock)
        ready_fd = None
        if not (was_idle and home.database.exists() and has_intents(home.database)):
            return 0  # whatever is submitted from here on finds the lock free


def _run(home: Home, settings: Settings, ready_fd: int | None) -> bool:
    """One life with the lock held; whether it ended because there was nothing left to do."""
    import asyncio
    import contextlib
    import logging
    import signal
    import time

    from jobs.daemon.loop import Daemon
    from jobs.daemon.recovery import recover
    from jobs.executors import runtime_copy
    from jobs.executors.local import LocalExecutor
    from jobs.machine import latest_sample
    from jobs.machine.sensor import MachineSensor
    from jobs.store.backup import is_damage
    from jobs.store.schema import migrate, refuse_newer
    from jobs.store.writer import Store

    log = logging.getLogger(__name__)

    def ready() -> None:
        nonlocal ready_fd
        log.info("started, process %d", os.getpid())
        if ready_fd is not None:
            with contextlib.suppress(BrokenPipeError):  # who started us may be gone already
                os.write(ready_fd, b"ready")
            os.close(ready_fd)
            ready_fd = None

    async def run(store: Store) -> bool:
        last = latest_sample.read(home.latest_sample)
        executor, sensor = (
            LocalExecutor(home.jobs, runtime=runtime_copy.copied(home.run)),
            MachineSensor(before=None if last is None else last.sample),
        )
        daemon = Daemon(home, settings, store, executor, sensor, clock=time.time)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, daemon.leave)
        return await daemon.run(ready)

    for tries_left in reversed(range(DAMAGES)):
        try:
            refuse_newer(home.database)
            recover(home)
            migrate(home.database)
            with contextlib.closing(Store(home.database)) as store:
                was_idle = asyncio.run(run(store))
            log.info("stopped; running jobs go on")
            return was_idle
        except Exception as error:
            log.exception("the scheduler failed")
            if not tries_left or not is_damage(error):
                raise
    raise AssertionError("each try returns or raises")


def _log(home: Home, *, to_terminal: bool) -> None:
    import logging
    from logging.handlers import RotatingFileHandler

    handlers: list[logging.Handler] = [
        RotatingFileHandler(home.scheduler_log, maxBytes=LOG_BYTES, backupCount=2, encoding="utf-8")
    ]
    home.scheduler_log.chmod(0o600)
    if to_terminal:
        handlers.append(logging.StreamHandler())
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", handlers=handlers
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m jobs.daemon", description="The scheduler's process.")
    parser.add_argument("--detach", action="store_true", help="go on in the background")
    parser.add_argument("--ready-fd", type=int, help="write to this descriptor once it answers")
    parser.add_argument("--data", type=Path, help="the folder of its files (default: CRO_HOME)")
    parser.add_argument("--settings", type=Path, help="the settings file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
