"""A service job: holds the address, and starts the process that answers, again when it dies.

`python -P -m jobs.programs.serving --models FOLDER NAME[@ALIAS]`. The socket stays open between two
processes, so that whoever calls meanwhile waits and is not refused. Nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from jobs.kinds.service import LOOPBACK, ServiceRequest

BACKLOG = 1024
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
HEALTHY_S = 60.0  # a process that lived so long begins anew with the shortest pause
MOST_DEATHS = 8  # in a row
LAST_S = 8.0  # for what it has begun, when it is told to stop
_CANNOT_SERVE = 3


class _Stopped(Exception):
    """Told to stop, between two processes or while one runs."""


def main(words: Sequence[str]) -> int:
    asked = _asked(words)
    if asked.host not in LOOPBACK and not asked.token_sha256:
        print(f"{asked.host} can be reached by others: a token is needed.", file=sys.stderr)
        return 2
    try:
        listening = _bound(asked)
    except OSError as error:
        said = f"{asked.host} port {asked.port} cannot be used: {error.strerror or error}."
        print(f"{said} Name another --port.", file=sys.stderr)
        return 2
    output = os.environ.get("CRO_OUTPUT_DIR")
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    with listening:
        return _kept(asked, listening, Path(output) if output else None)


def _kept(asked: ServiceRequest, listening: socket.socket, output: Path | None) -> int:
    """Keep one process answering. 0 when told to stop, else why it was given up."""
    pause_s, deaths, pid = SHORTEST_PAUSE_S, 0, 0
    try:
        while True:
            began = time.monotonic()
            pid = _fork(asked, listening, output)
            _, status = os.waitpid(pid, 0)
            pid = 0
            code = os.waitstatus_to_exitcode(status)
            if code == _CANNOT_SERVE:
                return 1
            if time.monotonic() - began >= HEALTHY_S:
                pause_s, deaths = SHORTEST_PAUSE_S, 0
            deaths += 1
            if deaths >= MOST_DEATHS:
                print(
                    f"it ended {deaths} times in a row ({_ended(code)}): given up",
                    file=sys.stderr,
                    flush=True,
                )
                return 1
            print(
                f"the answering process ended ({_ended(code)}); again in {pause_s:g} s",
                file=sys.stderr,
                flush=True,
            )
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
    except _Stopped:
        if pid:
            _last_words(pid)
        print("stopped", flush=True)
        return 0


def _fork(asked: ServiceRequest, listening: socket.socket, output: Path | None) -> int:
    """The process that answers. It imports what it needs itself, so a new one has the files as they are."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        from jobs.programs.serving.worker import work

        code = work(asked, listening, _url(asked, listening), output)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _last_words(pid: int) -> None:
    """Let it finish what it has begun, and end it when it does not."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:  # the whole tree was told to stop, and it has gone first
        return
    deadline = time.monotonic() + LAST_S
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return
        time.sleep(0.02)


def _bound(asked: ServiceRequest) -> socket.socket:
    family = socket.AF_INET6 if ":" in asked.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((asked.host, asked.port))
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _url(asked: ServiceRequest, listening: socket.socket) -> str:
    host = f"[{asked.host}]" if ":" in asked.host else asked.host
    return f"http://{host}:{listening.getsockname()[1]}"


def _ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


def _asked(words: Sequence[str]) -> ServiceRequest:
    parser = argparse.ArgumentParser(prog="jobs.programs.serving", description="Serve a registered model.")
    parser.add_argument("--models", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token-sha256", default="")
    parser.add_argument("--native", action="store_true")
    parser.add_argument("--log-predictions", action="store_true")
    parser.add_argument("reference")
    return ServiceRequest(**vars(parser.parse_args(words)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
