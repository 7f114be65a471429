"""One process for each attempt: parent of the job, keeper of its limits, writer of its end.

Forked by the launcher; standard library only. It outlives the daemon, the launcher and the terminal, knows
nothing of the queue, and leaves exactly one truth behind: `exit.json`. Signals to it: TERM = end the job,
USR1 = pause it, USR2 = let it go on.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from jobs.boxed import bundle, proctree
else:
    import bundle
    import proctree

PR_SET_CHILD_SUBREAPER = 36
SWEEP_GRACE_S = 2.0  # for what a job that ended by itself left running
FIRST_LOOK_S = 0.05
USAGE_EVERY_S = 1.0
NEAR_LIMIT = 0.5
MAX_USAGE_LINES = 100_000
# what this process or the launcher ignores; handlers are reset by exec anyway
IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGXFSZ)

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def main(folder: str, ends: int | None = None) -> NoReturn:
    """Supervise the attempt of this folder from start to end, and leave. To be called in a fresh fork.

    `ends` is a datagram socket on which the folder is named as soon as its `exit.json` can be read: the
    next job need not wait until the disk has it.
    """
    code = 0
    try:
        os.setsid()
        os.chdir(folder)
        _own_streams()
        _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        Supervisor(folder, ends).run()
    except BaseException:
        code = 1
        with open(bundle.SUPERVISOR_LOG, "a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
    os._exit(code)


def _own_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


class Supervisor:
    """The life of one attempt."""

    def __init__(self, folder: str, ends: int | None) -> None:
        self.folder = folder
        self.ends = ends
        spec = bundle.read_json(bundle.SPEC)
        if spec is None:
            raise ValueError("spec.json cannot be read")
        self.spec = spec
        self.mem_limit: int | None = spec["mem_limit_bytes"]
        self.grace_s: float = spec["grace_s"]
        self.job = 0
        self.status: int | None = None
        self.cause: str | None = None
        self.detail = ""
        self.kill_at: float | None = None
        self.paused = False
        self.peak_bytes = 0
        self.cpu_s = 0.0
        self.last_look: tuple[float, float] | None = None
        self.usage_lines = 0
        self.oom_kills = _oom_kills()

    def run(self) -> None:
        """Start the job, wait for its end and that of all its descendants, and write down how it went."""
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(ignored, signal.SIG_IGN)
        self.started_at = time.time()
        self.started = time.monotonic()
        limit_s: float | None = self.spec["time_limit_s"]
        self.end_by = None if limit_s is None else self.started + limit_s
        self._start()
        poller = select.poll()
        poller.register(wake_read, select.POLLIN)
        self.look_s = FIRST_LOOK_S
        look_at = self.started + self.look_s
        usage_at = self.started + FIRST_LOOK_S
        while not self._over():
            wake_at = min(at for at in (look_at, self.end_by, self.kill_at) if at is not None)
            wait_s = max(0.0, wake_at - time.monotonic())
            if poller.poll(min(wait_s, 60.0) * 1000):
                for byte in os.read(wake_read, 4096):
                    self._signalled(byte)
            now = time.monotonic()
            if self.end_by is not None and now >= self.end_by and self.status is None:
                self.end_by = None
                self._stop("timed_out", f"it ran into its time limit of {limit_s:g} s")
            if self.kill_at is not None and now >= self.kill_at:
                self._signal_tree(signal.SIGKILL)
                self.kill_at = now + 0.05
            if now >= look_at:
                self._look(write=now >= usage_at)
                if now >= usage_at:
                    usage_at = now + USAGE_EVERY_S
                look_at = now + self.look_s
        self._write_exit()

    # --- start --------------------------------------------------------------------------------

    def _start(self) -> None:
        """Claim the attempt by creating its log, start the job, and write down who is who."""
        log = os.open(bundle.LOG, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self.job = self._spawn(log)
        except _CannotStart as problem:
            self.cause, self.detail = "could_not_start", str(problem)
            self.status = problem.code << 8
            os.write(log, f"cro-tui: {problem}\n".encode("utf-8", "replace"))
        os.close(log)
        os.chdir(self.folder)
        me = os.getpid()
        bundle.write_json(
            bundle.PID,
            {
                "boot_id": proctree.boot_id(),
                "supervisor": {"pid": me, "start_ticks": proctree.start_ticks(me)},
                "job": {"pid": self.job, "start_ticks": self.job and proctree.start_ticks(self.job)},
                "started_at": self.started_at,
            },
        )

    def _spawn(self, log: int) -> int:
        captured = bundle.read_json(self.spec["environment_path"])
        if captured is None:
            raise _CannotStart("its captured environment is gone; submit it again", 126)
        environ = {**captured, **self.spec["extra_env"]}
        argv: list[str] = self.spec["argv"]
        try:
            os.chdir(self.spec["cwd"])
        except OSError as error:
            text = f"its folder {self.spec['cwd']} cannot be entered: {error.strerror}"
            raise _CannotStart(text, 126) from None
        os.environ["PATH"] = environ.get("PATH", os.defpath)  # where posix_spawnp looks
        try:
            return os.posix_spawnp(
                argv[0],
                argv,
                environ,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, log, 1),
                    (os.POSIX_SPAWN_DUP2, log, 2),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=IGNORED,
            )
        except OSError as error:
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
            text = f"{argv[0]} cannot be run: {error.strerror}"
            raise _CannotStart(text, 127 if missing else 126) from None

    # --- while it runs -----------------------------------------------------------------------------

    def _signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGTERM:
            self._stop("cancelled", "")
        elif number == signal.SIGUSR1:
            self.paused = True
            self._signal_tree(signal.SIGSTOP)
        elif number == signal.SIGUSR2:
            self.paused = False
            self._signal_tree(signal.SIGCONT)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, rusage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.cpu_s += rusage.ru_utime + rusage.ru_stime
            if pid == self.job:
                self.status = status
                own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                if rusage.ru_maxrss > own_peak:  # below it, the figure was inherited from us
                    self.peak_bytes = max(self.peak_bytes, rusage.ru_maxrss * 1024)
                if self.kill_at is None and proctree.children(os.getpid()):
                    self._signal_tree(signal.SIGTERM)
                    self.kill_at = time.monotonic() + SWEEP_GRACE_S

    def _over(self) -> bool:
        return self.status is not None and not proctree.children(os.getpid())

    def _stop(self, cause: str, detail: str, *, at_once: bool = False) -> None:
        """Begin to end the job; the first cause stays."""
        if self.status is not None or self.cause in ("cancelled", "timed_out", "out_of_memory"):
            return
        self.cause, self.detail = cause, detail
        self._signal_tree(signal.SIGKILL if at_once else signal.SIGTERM)
        self._signal_tree(signal.SIGCONT)  # a stopped process acts on TERM only once it goes on
        self.kill_at = time.monotonic() + (0.05 if at_once else self.grace_s)

    def _signal_tree(self, number: int) -> None:
        for pid in proctree.descendants(os.getpid()):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def _look(self, *, write: bool) -> None:
        now = time.monotonic()
        tree = proctree.descendants(os.getpid())
        rss = sum(map(proctree.rss_bytes, tree))
        self.peak_bytes = max(self.peak_bytes, rss)
        limit = self.mem_limit
        if limit is not None and rss > limit and self.cause is None:
            shares = [proctree.pss_bytes(pid) for pid in tree] if len(tree) > 1 else [rss]
            real = sum(share for share in shares if share is not None)
            if real > limit:
                self._stop("out_of_memory", "it used more memory than its limit", at_once=True)
        near = limit is not None and rss > limit * NEAR_LIMIT
        self.look_s = FIRST_LOOK_S if near else min(self.look_s * 2, USAGE_EVERY_S)
        if write and self.usage_lines < MAX_USAGE_LINES:
            self._write_usage(now, tree, rss)

    def _write_usage(self, now: float, tree: list[int], rss: int) -> None:
        used = self.cpu_s + sum(seconds for pid in tree if (seconds := proctree.cpu_s(pid)) is not None)
        cpus = None
        if self.last_look is not None and now > self.last_look[0]:
            cpus = max(0.0, (used - self.last_look[1]) / (now - self.last_look[0]))
        self.last_look = (now, used)
        line = {
            "at": time.time(),
            "cpu_s": used,
            "mem_bytes": rss,
            "peak_mem_bytes": self.peak_bytes,
            "processes": len(tree),
            "cpus": cpus,
            "paused": self.paused,
        }
        with open(bundle.USAGE, "ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")
        self.usage_lines += 1

    # --- the end -----------------------------------------------------------------------------------

    def _write_exit(self) -> None:
        assert self.status is not None
        code = os.waitstatus_to_exitcode(self.status)
        if self.cause is None and code == -signal.SIGKILL and _oom_kills() > self.oom_kills:
            self.cause, self.mem_limit = "out_of_memory", None
            self.detail = "the kernel ended it: the machine was out of memory"
        bundle.write_json(
            bundle.EXIT,
            {
                "cause": self.cause or "exited",
                "exit_code": code if code >= 0 else None,
                "signal": -code if code < 0 else None,
                "started_at": self.started_at,
                "finished_at": max(time.time(), self.started_at),
                "detail": self.detail,
                "mem_limit_bytes": self.mem_limit,
                "metrics": bundle.read_metrics("."),
                "usage": {"cpu_s": self.cpu_s, "peak_mem_bytes": self.peak_bytes or None},
            },
        )
        if self.ends is not None:
            try:
                os.write(self.ends, os.fsencode(self.folder))
            except OSError:
                pass  # nobody listens any more; the folder tells who asks
        bundle.sync(bundle.EXIT)


class _CannotStart(Exception):
    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def _oom_kills() -> int:
    try:
        with open("/proc/vmstat", "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


if __name__ == "__main__":
    main(sys.argv[1])
