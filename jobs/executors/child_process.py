"""One resident process that forks supervisors, and the two sockets to it: requests with answers, and ends.

Knows nothing of what the process is (launcher or zygote) and never starts a second one. Losing it loses no
job: supervisors belong to nobody. Needs a running event loop.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobs.runtime import procfs

MAX_ASKED = 32  # requests under way; what the socket surely holds
LEAVE_WITHIN_S = 2.0


class ChildProcess:
    """Started at once. `on_end` is called with a job folder once its `exit.json` is there.

    `greets`: its first message is not an answer; wait for it with `greeting`.
    """

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        on_end: Callable[[str], None],
        *,
        arguments: Sequence[str] = (),
        greets: bool = False,
    ) -> None:
        """`command` gets the numbers of its sockets and then the arguments. Raises OSError."""
        self._on_end = on_end
        self._answers: deque[asyncio.Future[dict[str, Any]]] = deque()
        self._places = asyncio.Semaphore(MAX_ASKED)
        self._cpu_at_end_s = 0.0
        requests, their_requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ends, their_ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        inherited = [their_requests.fileno(), their_ends.fileno()]
        with their_requests, their_ends:
            try:
                self._process = subprocess.Popen(
                    [*command, *map(str, inherited), *arguments],
                    pass_fds=inherited,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL if greets else None,
                    env=environ,
                    start_new_session=True,
                )
            except OSError:
                requests.close()
                ends.close()
                raise
        self._requests: socket.socket | None = requests
        self._ends = ends
        loop = asyncio.get_running_loop()
        for ours, hear in ((requests, self._answered), (ends, self._told_of_an_end)):
            ours.setblocking(False)
            loop.add_reader(ours.fileno(), hear)
        self._greeting: asyncio.Future[dict[str, Any]] | None = None
        if greets:
            self._greeting = loop.create_future()
            self._answers.append(self._greeting)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lost(self) -> bool:
        """Whether it has gone, or was let go."""
        return self._requests is None

    async def greeting(self) -> dict[str, Any]:
        """Its first message, as often as asked. Raises OSError when it went without one."""
        assert self._greeting is not None
        return await asyncio.shield(self._greeting)

    def greeting_now(self) -> dict[str, Any] | None:
        """Its first message, if that has come."""
        done = self._greeting
        return done.result() if done and done.done() and done.exception() is None else None

    async def ask(self, folder: str) -> dict[str, Any]:
        """Its answer to a job folder. Raises OSError when it is gone."""
        async with self._places:
            if self._requests is None:
                raise ConnectionResetError("the process has gone")
            try:
                self._requests.send(os.fsencode(folder))
            except OSError:
                self.close()
                raise
            answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            self._answers.append(answer)
            return await answer

    def cpu_s(self) -> float:
        """CPU seconds of the process, without its supervisors; ever growing."""
        now = None if self.lost else procfs.own_cpu_s(self._process.pid)
        return self._cpu_at_end_s if now is None else now

    def close(self, leave_within_s: float = LEAVE_WITHIN_S) -> None:
        """Let it go; who still waits for its answer is told that there is none. To be repeated safely."""
        if self._requests is None:
            return
        self._cpu_at_end_s = self.cpu_s()
        for ours in (self._requests, self._ends):
            asyncio.get_running_loop().remove_reader(ours.fileno())
            ours.close()
        self._requests = None
        try:
            self._process.wait(leave_within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for answer in self._answers:
            if not answer.done():
                answer.set_exception(ConnectionResetError("the process has gone"))
                answer.exception()  # nobody has to ask for it
        self._answers.clear()

    def _told_of_an_end(self) -> None:
        while not self.lost:
            try:
                folder = self._ends.recv(1 << 16)
            except OSError:
                return
            self._on_end(os.fsdecode(folder))

    def _answered(self) -> None:
        while self._requests is not None:
            try:
                message = self._requests.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self.close()
                return
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_result(json.loads(message))
