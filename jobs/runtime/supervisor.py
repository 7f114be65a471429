"""One process for each running attempt: parent of the job, keeper of its limits, writer of its end.

Forked by the launcher; standard library only. When its job and all that it started have ended it may be
given the next one. It outlives the daemon, the launcher and the terminal, knows
nothing of the queue, and leaves exactly one truth behind: `exit.json`. Signals to it: TERM = end the job,
USR1 = pause it, USR2 = let it go on.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from jobs.runtime import (
        cgroup,
        job_folder,
        log_cap,
        meter,
        niceness,
        procfs,
        provenance,
        spawn,
        tree_signals,
    )
else:
    import cgroup
    import job_folder
    import log_cap
    import meter
    import niceness
    import procfs
    import provenance
    import spawn
    import tree_signals

PR_SET_CHILD_SUBREAPER = 36
SWEEP_GRACE_S = 2.0  # for what a job that ended by itself left running
KILL_AGAIN_S = 0.05
MAX_WAIT_S = 60.0
FULL_DISK_TRIES = 600
FULL_DISK_RETRY_S = 1.0
OVER_LIMIT = "it used more memory than its limit"
BOOT_ID = procfs.boot_id()
ORDERS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def main(
    orders: Callable[[Callable[[], None]], str | None],
    ends: int | None = None,
    start: Callable[[dict[str, Any], int], int] = spawn.start,
) -> NoReturn:
    """Supervise one attempt after the other from start to end, and leave. To be called in a fresh fork.

    `orders` answers with the next job folder, or None; it gets what drops the signals that came for the job
    before. `start` begins the job and returns its pid. `ends` is a datagram socket on which the folder is
    named as soon as its `exit.json` can be read: the next job need not wait until the disk has it.
    """
    code = 0
    folder: str | None = None
    try:
        os.setsid()
        _own_streams()
        adopt_orphans()
        me = {"pid": os.getpid(), "start_ticks": procfs.start_ticks(os.getpid())}
        signals = _hear_signals()
        while (folder := orders(lambda: _drop(signals))) is not None:
            os.chdir(folder)
            if not Supervisor(folder, me, ends, start).run(signals):
                break
            os.chdir("/")
    except BaseException:
        import traceback

        code = 1
        if folder is not None:
            with open(os.path.join(folder, job_folder.SUPERVISOR_LOG), "a", encoding="utf-8") as file:
                traceback.print_exc(file=file)
    finally:
        os._exit(code)


def adopt_orphans() -> None:
    """From here on, a process below us that loses its parent becomes our child."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _own_streams() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


class Supervisor:
    """The life of one attempt."""

    def __init__(
        self,
        folder: str,
        me: dict[str, int | None],
        ends: int | None,
        start: Callable[[dict[str, Any], int], int],
    ) -> None:
        self.folder = folder
        self.me = me
        self.ends = ends
        self.start_job = start
        spec = job_folder.read_json(job_folder.SPEC)
        if spec is None:
            raise ValueError("spec.json cannot be read")
        self.spec = spec
        self.meter = meter.UsageMeter(spec["mem_limit_bytes"])
        self.job = 0
        self.status: int | None = None
        self.alone = False  # every process of the tree has been waited for
        self.cause: str | None = None
        self.detail = ""
        self.group: cgroup.Cgroup | None = None
        self.mem_limit: int | None = spec["mem_limit_bytes"]
        self.kill_at: float | None = None
        self.paused_at: float | None = None
        self.first_report_s: float | None = None
        self.has_low_priority = not spec["low_priority"]
        self.oom_kills = _oom_kills()
        self.cpu_before_s = time.process_time()
        self.started_at = time.time()
        limit_s: float | None = spec["time_limit_s"]
        self.end_by = None if limit_s is None else time.monotonic() + limit_s

    def run(self, signals: int) -> bool:
        """Start the job, wait for its end and that of all its descendants, and write down how it went.

        Whether whoever waits for the end has been told; if not, this process has to end to be noticed.
        """
        try:
            log = os.open(
                job_folder.LOG, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
        except FileExistsError:
            return False  # another supervisor has claimed this attempt
        self.log_cap = log_cap.LogCap(log, self.spec["log_max_bytes"])
        told = False
        try:
            self._start(log)
            self._remember()
            self._wait(signals)
        except Exception:
            self._give_up()
            raise
        finally:
            told = self._write_exit()
            os.close(log)
        return told

    # --- start --------------------------------------------------------------------------------

    def _start(self, log: int) -> None:
        """Start the job and write down who is who."""
        try:
            self._make_job(log)
            os.chdir(self.folder)
            job_folder.write_json(
                job_folder.PID,
                {
                    "boot_id": BOOT_ID,
                    "supervisor": self.me,
                    "job": {"pid": self.job, "start_ticks": procfs.start_ticks(self.job)},
                    "started_at": self.started_at,
                    "warm": self.start_job is not spawn.start,
                    "why_cold": self.spec["why_cold"],
                    "took_s": round(time.time() - self.spec["asked_at"], 4),
                    "cgroup": None if self.group is None else self.group.folder,
                },
            )
        except spawn.CannotStart as problem:
            self._could_not_start(str(problem), problem.code)
            try:
                os.write(log, f"cro-tui: {problem}\n".encode("utf-8", "replace"))
            except OSError:
                pass  # exit.json says it too
        except OSError as error:
            self._could_not_start(f"its job folder cannot be written: {error.strerror}", 126)
            tree_signals.send(signal.SIGKILL)
            self.kill_at = time.monotonic() + KILL_AGAIN_S
        os.chdir(self.folder)

    def _remember(self) -> None:
        """Write down what it began with, while it runs."""
        if not self.job:
            return
        found = provenance.of(self.spec["argv"], self.spec["cwd"])
        if found:
            try:
                job_folder.write_json(job_folder.PROVENANCE, found)
            except OSError:
                pass  # then there is nothing to compare

    def _make_job(self, log: int) -> None:
        """Whatever the job must have from its first instruction, this process has while it is made."""
        limit = self.mem_limit
        self.group = None if limit is None else cgroup.make(self.spec["name"])
        with niceness.LowPriority(self.spec["low_priority"]):
            if self.group is None:
                self.job = self.start_job(self.spec, log)
                return
            with self.group:
                self.job = self.start_job(self.spec, log)
        assert limit is not None
        try:
            if not self.group.limit(limit):
                self._stop("out_of_memory", 0.0, OVER_LIMIT)
            self.meter.group = self.group
            if self.start_job is not spawn.start:
                self.meter.inherited_bytes = procfs.rss_bytes(os.getpid())
        except OSError:
            pass  # then it is a fence only, and the limit is kept by looking

    def _could_not_start(self, detail: str, code: int) -> None:
        self.cause, self.detail, self.status, self.job = "could_not_start", detail, code << 8, 0
        self._reap()

    # --- while it runs -----------------------------------------------------------------------------

    def _wait(self, wake_read: int) -> None:
        poller = select.poll()
        poller.register(wake_read, select.POLLIN)
        while not self._over():
            until = [self.meter.look_at, self.log_cap.look_at]
            if self.kill_at is not None:
                until.append(self.kill_at)
            if self.end_by is not None and self.paused_at is None:
                until.append(self.end_by)
            wait_s = max(0.0, min(until) - time.monotonic())
            if poller.poll(min(wait_s, MAX_WAIT_S) * 1000):
                for byte in os.read(wake_read, 4096):
                    self._signalled(byte)
            now = time.monotonic()
            if self.end_by is not None and now >= self.end_by and self.paused_at is None:
                self.end_by = None
                limit_s = self.spec["time_limit_s"]
                self._stop(
                    "timed_out", self.spec["grace_s"], f"it ran into its time limit of {limit_s:g} s"
                )
            if self.kill_at is not None and now >= self.kill_at:
                if self.group is not None:
                    self.group.kill()
                tree_signals.send(signal.SIGKILL)
                self.kill_at = now + KILL_AGAIN_S
            if now >= self.log_cap.look_at:
                self.log_cap.look(now)
            if now >= self.meter.look_at:
                self._look(now)

    def _over(self) -> bool:
        return self.status is not None and self.alone

    def _look(self, now: float, *, write: bool = False) -> None:
        if not self.has_low_priority and self.status is None:
            self.has_low_priority = niceness.lower_priority(self.job)
        self.log_cap.look(now)
        self.first_report_s = self._reported_after_s()
        if self.meter.look(now, write=write):
            self._stop("out_of_memory", 0.0, OVER_LIMIT)

    def _reported_after_s(self) -> float | None:
        if self.first_report_s is not None:
            return self.first_report_s
        return job_folder.reported_after_s(self.started_at)

    def _signalled(self, number: int) -> None:
        now = time.monotonic()
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGTERM:
            wanted = job_folder.read_json(job_folder.STOP) or {}
            self._stop("cancelled", wanted.get("grace_s", self.spec["grace_s"]), "")
        elif number == signal.SIGUSR1 and self.paused_at is None:
            self.paused_at, self.meter.paused = now, True
            tree_signals.freeze()
            self._look(now, write=True)
        elif number == signal.SIGUSR2 and self.paused_at is not None:
            if self.end_by is not None:
                self.end_by += now - self.paused_at  # time spent paused is not the job's
            self.paused_at, self.meter.paused = None, False
            tree_signals.send(signal.SIGCONT)
            self._look(now, write=True)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self.alone = True
                return
            if pid == 0:
                break
            self.meter.ended_cpu_s += used.ru_utime + used.ru_stime
            if pid == self.job:
                self.status = status
                own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                # below our own, the figure was inherited from us
                if used.ru_maxrss > own_peak and self.meter.group is None:
                    self.meter.peak_bytes = max(self.meter.peak_bytes, used.ru_maxrss * 1024)
        if self.status is not None and self.kill_at is None:
            tree_signals.send(signal.SIGTERM)
            tree_signals.send(signal.SIGCONT)
            self.kill_at = time.monotonic() + SWEEP_GRACE_S

    def _stop(self, cause: str, grace_s: float, detail: str) -> None:
        """Begin to end the job. The first cause stays; a later order can only shorten the grace time."""
        if self.status is not None:
            return
        kill_at = time.monotonic() + grace_s
        if self.cause is not None and self.kill_at is not None:
            self.kill_at = min(self.kill_at, kill_at)
            return
        self.cause, self.detail, self.kill_at = cause, detail, kill_at
        if grace_s > 0:
            tree_signals.send(signal.SIGTERM)
            tree_signals.send(signal.SIGCONT)  # a stopped process acts on TERM only once it goes on
        self.paused_at, self.meter.paused = None, False

    # --- the end -----------------------------------------------------------------------------------

    def _give_up(self) -> None:
        """After a fault of our own: nothing of the tree may go on without anyone who watches it."""
        self.cause, self.detail = (
            "supervisor_died",
            f"its supervisor failed: see {job_folder.SUPERVISOR_LOG}",
        )
        os.chdir(self.folder)
        while not self.alone:
            tree_signals.send(signal.SIGKILL)
            time.sleep(KILL_AGAIN_S)
            self._reap()

    def _write_exit(self) -> bool:
        code = None if self.status is None else os.waitstatus_to_exitcode(self.status)
        if self.group is not None:
            if self.cause is None and code != 0 and self.group.over_limit():
                self.cause, self.detail = "out_of_memory", OVER_LIMIT
            self.meter.close(out_of_memory=self.cause == "out_of_memory")
            self.group.remove()
        if self.cause is None and code == -signal.SIGKILL and _oom_kills() > self.oom_kills:
            self.cause, self.mem_limit = "out_of_memory", None
            self.detail = "the kernel ended it: the machine was out of memory"
        if self.cause is None and code is not None and code > 0 and not self.detail:
            self.detail = job_folder.reported_error(".")
        record: dict[str, Any] = {
            "cause": self.cause or "exited",
            "exit_code": None if code is None or code < 0 else code,
            "signal": None if code is None or code >= 0 else -code,
            "started_at": self.started_at,
            "finished_at": max(time.time(), self.started_at),
            "detail": self.detail,
            "mem_limit_bytes": self.mem_limit,
            "mem_by": "polling" if self.meter.group is None else "cgroup",
            "metrics": job_folder.read_metrics("."),
            "first_report_s": self._reported_after_s(),
            "usage": {
                "cpu_s": round(self.meter.ended_cpu_s, 6),
                "peak_mem_bytes": self.meter.peak_bytes or None,
                "cpus": self.meter.busy_cpus(),
            },
            "supervisor_cpu_s": time.process_time() - self.cpu_before_s,
        }
        for _ in range(FULL_DISK_TRIES):
            try:
                job_folder.write_json(job_folder.EXIT, record)
                break
            except FileNotFoundError:
                raise  # the job folder has been taken away
            except OSError:
                time.sleep(FULL_DISK_RETRY_S)
        told = False
        if self.ends is not None:
            try:
                told = os.write(self.ends, os.fsencode(self.folder)) > 0
            except OSError:
                pass  # nobody listens any more; the folder tells who asks
        job_folder.sync(job_folder.EXIT)
        self.log_cap.finish(job_folder.LOG)
        return told


def _drop(signals: int) -> None:
    try:
        while os.read(signals, 4096):
            pass
    except BlockingIOError:
        pass


def _hear_signals() -> int:
    """From here on signals arrive as bytes on the returned descriptor, those sent before included."""
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *ORDERS):
        signal.signal(number, lambda *_: None)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(ignored, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ORDERS)
    return wake_read


def _oom_kills() -> int:
    try:
        with open("/proc/vmstat", "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0
