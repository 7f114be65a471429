"""What a person does to jobs, the same on the dashboard and on a job's own screen.

It words the questions and the news; every call to the engine is made elsewhere by the desk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cro_tui.present import (
    bytes_text,
    duration_text,
    elapsed_s,
    jobs_text,
    more_memory_bytes,
    name_text,
    next_step,
    state_word,
)
from cro_tui.screens.ask import Answer, Ask
from cro_tui.screens.place import Place
from cro_tui.widgets.why_panel import command_text
from jobs.model import Active, Ended, Held, Job, JobId, OutOfMemory, Paused, Queued, Running, Waiting
from jobs.views import NeedsRequest


class JobActs(Place[None]):
    """Mix in; a subclass says what the actions apply to."""

    @property
    def targets(self) -> Sequence[Job]:
        raise NotImplementedError

    def action_cancel(self) -> None:
        jobs = [job for job in self.targets if not isinstance(job.state, Ended)]
        if not jobs:
            self._nothing("has ended already: there is nothing to stop.")
            return
        running = [job for job in jobs if isinstance(job.state, Active)]
        lines = [_loss(job, self.desk.now()) for job in jobs[:6]]
        if len(jobs) > 6:
            lines.append(f"... and {len(jobs) - 6} more")
        what = "Stop" if running else "Take out of the queue"
        label = f"stop {_these(jobs)}: TERM, then KILL after the grace time" if running else "take out"
        ids = [job.id for job in jobs]

        def answered(answer: str | None) -> None:
            if answer == "stop":
                said = f"{_these(jobs)} {'is' if len(jobs) == 1 else 'are'} being stopped."
                self.desk.write(lambda: self.desk.source.cancel(ids), lambda _: self._news(said))

        self.app.push_screen(Ask(f"{what} {_these(jobs)}?", lines, [Answer("x", label, "stop")]), answered)

    def action_hold(self) -> None:
        jobs = self.targets
        held = [job.id for job in jobs if isinstance(job.state, Held | Paused)]
        free = [job.id for job in jobs if isinstance(job.state, Queued | Running)]
        if not held and not free:
            self._nothing("can neither be held nor let go.")
        elif held:
            what = f"{jobs_text(held)} let go."
            self.desk.write(lambda: self.desk.source.release(held), lambda _: self._news(what))
        else:
            key = self.desk.key("job.hold")
            what = f"{jobs_text(free)} held; {key} lets it go on."
            self.desk.write(lambda: self.desk.source.hold(free), lambda _: self._news(what))

    def action_priority(self, by: int) -> None:
        ids = [job.id for job in self.targets if isinstance(job.state, Waiting)]
        if not ids:
            self._nothing("does not wait: its priority no longer matters.")
            return
        what = f"Priority of {jobs_text(ids)} {'raised' if by > 0 else 'lowered'} by {abs(by)}."
        self.desk.write(lambda: self.desk.source.set_priority(ids, delta=by), lambda _: self._news(what))

    def action_retry(self) -> None:
        jobs = [job for job in self.targets if isinstance(job.state, Ended)]
        if not jobs:
            self._nothing("has not ended: only an ended job can be retried.")
            return
        more = {
            job.id: more_memory_bytes(job.needs, job.state)
            for job in jobs
            if isinstance(job.state, OutOfMemory)
        }
        if not more:
            self._retry(jobs, {})
            return
        amounts = sorted({bytes_text(each) for each in more.values()})
        first = f"retry with {amounts[0] if len(amounts) == 1 else 'twice as much'} of memory"

        def answered(answer: str | None) -> None:
            if answer is not None:
                self._retry(jobs, more if answer == "more" else {})

        lines = [f"#{j.id} {name_text(j, 40)}: {next_step(j).sentence}." for j in jobs if j.id in more][:6]
        answers = [Answer("r", first, "more"), Answer("s", "retry with the same memory", "same")]
        self.app.push_screen(Ask(f"Retry {_these(jobs)}?", lines, answers), answered)

    def action_copy(self) -> None:
        jobs = self.targets
        if jobs:
            self.app.copy_to_clipboard("\n".join(command_text(job, 4000) for job in jobs))
            self._news(f"Copied the command of {jobs_text([job.id for job in jobs])}.")

    # --- how it is said -----------------------------------------------------------------------

    def _retry(self, jobs: Sequence[Job], mem_bytes: Mapping[JobId, int]) -> None:
        """Queue them again: those in `mem_bytes` with so much, the others as they were."""
        ids = [job.id for job in jobs]
        source = self.desk.source

        def retry() -> tuple[JobId, ...]:
            if not mem_bytes:
                return source.retry(ids)
            new: tuple[JobId, ...] = ()
            for job_id in sorted(ids):  # a job waits for the retry of what it needs, so that comes first
                grown = mem_bytes.get(job_id)
                new += source.retry([job_id], None if grown is None else NeedsRequest(mem_bytes=grown))
            return new

        def done(new: tuple[JobId, ...]) -> None:
            if new:
                self.desk.watch_for(new[0])
                self._news(f"{jobs_text(new)} queued, a retry of {jobs_text(ids)}.")

        self.desk.write(retry, done)

    def _news(self, text: str) -> None:
        self.desk.say(text)
        self.desk.look_again()

    def _nothing(self, why: str) -> None:
        jobs = self.targets
        self.desk.say(f"{_these(jobs)} {why}" if jobs else "There is no job here.", "warn")


def _these(jobs: Sequence[Job]) -> str:
    if len(jobs) > 1:
        return jobs_text([job.id for job in jobs])
    return f"#{jobs[0].id} {name_text(jobs[0], 30)}"


def _loss(job: Job, now: float) -> str:
    head = f"#{job.id} {name_text(job, 30)}"
    if isinstance(job.state, Active):
        ran = duration_text(elapsed_s(job, now))
        return f"{head} has run {ran}; what it has not saved is lost."
    return f"{head} ({state_word(job)}) has not run; nothing is lost."
