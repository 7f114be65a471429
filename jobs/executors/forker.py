"""The executor's side of the launcher: starts it when it is needed, asks it for supervisors, replaces it.

Losing the launcher loses no job: supervisors belong to nobody. Needs a running event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.boxed import proctree
from jobs.ports import Unreachable

LAUNCHER = Path(__file__).resolve().parent.parent / "boxed" / "launcher.py"
PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TZ")  # the rest may hold secrets
MAX_ASKED = 32  # requests under way; what the socket surely holds
LEAVE_WITHIN_S = 2.0
NO_PROCESS = "No process could be made for the job."


class Forker:
    """One launcher at a time. `on_end` is called with a job folder once its `exit.json` is there."""

    def __init__(self, python: str, on_end: Callable[[Path], None]) -> None:
        self._python = python
        self._on_end = on_end
        self._launcher: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._ends: socket.socket | None = None
        self._answers: deque[asyncio.Future[dict[str, Any]]] = deque()
        self._places = asyncio.Semaphore(MAX_ASKED)
        self._cpu_of_gone_s = 0.0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The launcher's pid, None before the first request."""
        return None if self._launcher is None else self._launcher.pid

    async def fork(self, folder: Path) -> tuple[int, int | None]:
        """Have a supervisor forked for the folder: its pid and start time (None: it has ended already).

        Raises Unreachable when no process can be made.
        """
        async with self._places:
            try:
                answer = await self._ask(folder)
            except OSError:
                answer = await self._ask_again(folder)
        if "error" in answer:
            raise Unreachable(NO_PROCESS, str(answer["error"]))
        return answer["pid"], answer["start_ticks"]

    def cpu_s(self) -> float:
        """CPU seconds of all launchers so far, without their supervisors; ever growing."""
        now = None if self._launcher is None else proctree.own_cpu_s(self._launcher.pid)
        return self._cpu_of_gone_s + (now or 0.0)

    def close(self) -> None:
        """Let the launcher go, and start no other."""
        self._closed = True
        self._lose()

    def _lose(self) -> None:
        """Let go of this launcher; who still waits for its answer is told that there is none."""
        self._cpu_of_gone_s = self.cpu_s()
        for ours in (self._requests, self._ends):
            if ours is not None:
                asyncio.get_running_loop().remove_reader(ours.fileno())
                ours.close()
        self._requests = self._ends = None
        if self._launcher is not None:
            try:
                self._launcher.wait(LEAVE_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._launcher.kill()
                self._launcher.wait()
            self._launcher = None
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(ConnectionResetError("the launcher has gone"))
        self._answers.clear()

    async def _ask_again(self, folder: Path) -> dict[str, Any]:
        """After the launcher was lost; if it did fork a supervisor, that one has claimed the folder."""
        try:
            return await self._ask(folder)
        except OSError as error:
            raise Unreachable(NO_PROCESS, str(error)) from error

    async def _ask(self, folder: Path) -> dict[str, Any]:
        if self._closed:
            raise Unreachable(NO_PROCESS, "the scheduler is leaving")
        if self._requests is None:
            self._start()
        assert self._requests is not None
        try:
            self._requests.send(os.fsencode(folder))
        except OSError:
            self._lose()
            raise
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        return await answer

    def _start(self) -> None:
        requests, their_requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ends, their_ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        inherited = [their_requests.fileno(), their_ends.fileno()]
        with their_requests, their_ends:
            try:
                self._launcher = subprocess.Popen(
                    [self._python, "-I", "-S", str(LAUNCHER), *map(str, inherited)],
                    pass_fds=inherited,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
                    start_new_session=True,
                )
            except OSError as error:
                requests.close()
                ends.close()
                raise Unreachable("The launcher of jobs cannot be started.", str(error)) from error
        self._requests, self._ends = requests, ends
        for ours, hear in ((requests, self._answered), (ends, self._told_of_an_end)):
            ours.setblocking(False)
            asyncio.get_running_loop().add_reader(ours.fileno(), hear)

    def _told_of_an_end(self) -> None:
        while self._ends is not None:
            try:
                folder = self._ends.recv(1 << 16)
            except OSError:
                return
            self._on_end(Path(os.fsdecode(folder)))

    def _answered(self) -> None:
        while self._requests is not None:
            try:
                message = self._requests.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._lose()
                return
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_result(json.loads(message))
