"""What a person does to jobs, the same on the dashboard and on a job's own screen.

It words the questions and the news; every call to the engine is made elsewhere by the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
from cro_tui.present.groups import at_work, controller_of, group_name, number_in, waiting
from cro_tui.present.models import reference_text
from cro_tui.screens.ask import ConfirmDialog, DialogChoice
from cro_tui.screens.base_screen import BaseScreen
from cro_tui.widgets.why_panel import command_text
from jobs.core.jobs import (
    Active,
    Ended,
    Held,
    Job,
    JobId,
    OutOfMemory,
    Paused,
    Queued,
    Running,
    StateName,
    Succeeded,
    Waiting,
)
from jobs.core.requests import JobGroup, ListRow, NeedsRequest


class JobActions(BaseScreen[None]):
    """Mix in; a subclass says what the actions apply to. A group means all of its jobs."""

    @property
    def targets(self) -> Sequence[ListRow]:
        raise NotImplementedError

    def _split(self) -> tuple[list[Job], list[JobGroup]]:
        """The targets as jobs and groups; what belongs to a group that is meant as well is not a job."""
        groups = [row for row in self.targets if isinstance(row, JobGroup)]
        whole = {group.id for group in groups} | {group.controller for group in groups}
        jobs = [
            row
            for row in self.targets
            if isinstance(row, Job)
            and row.id not in whole
            and (row.spec.group is None or row.spec.group[0] not in whole)
        ]
        return jobs, groups

    def action_cancel(self) -> None:
        found, groups = self._split()
        jobs = [job for job in found if not isinstance(job.state, Ended)]
        groups = [group for group in groups if at_work(group) or waiting(group)]
        rows: list[ListRow] = [*groups, *jobs]
        if not rows:
            self._nothing("has ended already: there is nothing to stop.")
            return
        running = any(isinstance(job.state, Active) for job in jobs) or any(map(at_work, groups))
        number = len(jobs) + sum(at_work(group) + waiting(group) for group in groups)
        lines = [_loss(row, self.host.now()) for row in rows[:6]]
        if len(rows) > 6:
            lines.append(f"... and {len(rows) - 6} more")
        what = "Stop" if running else "Take out of the queue"
        which = f"all {number:,} jobs" if groups else _these(rows)
        label = f"stop {which}: TERM, then KILL after the grace time" if running else f"take out {which}"
        if not running and not groups:
            label = "take out"
        ids, source = [job.id for job in jobs], self.host.source

        def stop() -> None:
            for group in groups:
                source.groups.cancel(group.id)
            source.jobs.cancel(ids)

        def answered(answer: str | None) -> None:
            if answer == "stop":
                said = f"{_these(rows)} {'is' if len(rows) == 1 else 'are'} being stopped."
                self.host.write(stop, lambda _: self._news(said))

        self.app.push_screen(
            ConfirmDialog(f"{what} {_these(rows)}?", lines, [DialogChoice("x", label, "stop")]), answered
        )

    def action_hold(self) -> None:
        jobs, groups = self._split()
        held: list[ListRow] = [job for job in jobs if isinstance(job.state, Held | Paused)]
        held += [group for group in groups if _has(group, StateName.HELD, StateName.PAUSED)]
        free: list[ListRow] = [job for job in jobs if isinstance(job.state, Queued | Running)]
        free += [group for group in groups if _has(group, StateName.QUEUED, StateName.RUNNING)]
        source = self.host.source
        if not held and not free:
            self._nothing("can neither be held nor let go.")
        elif held:
            what = f"{_these(held, named=False)} let go."
            self._ask_each(held, source.jobs.release, source.groups.release, what)
        else:
            key = self.host.key("job.hold")
            what = f"{_these(free, named=False)} held; {key} lets it go on."
            self._ask_each(free, source.jobs.hold, source.groups.hold, what)

    def action_priority(self, by: int) -> None:
        jobs, groups = self._split()
        rows: list[ListRow] = [job for job in jobs if isinstance(job.state, Waiting)]
        rows += [group for group in groups if waiting(group)]
        if not rows:
            self._nothing("does not wait: its priority no longer matters.")
            return
        source = self.host.source
        what = f"Priority of {_these(rows, named=False)} {'raised' if by > 0 else 'lowered'} by {abs(by)}."
        self._ask_each(
            rows,
            lambda ids: source.jobs.set_priority(ids, delta=by),
            lambda lead: source.groups.set_priority(lead, delta=by),
            what,
        )

    def _ask_each(
        self,
        rows: Sequence[ListRow],
        of_jobs: Callable[[list[JobId]], None],
        of_group: Callable[[JobId], int],
        said: str,
    ) -> None:
        ids = [row.id for row in rows if isinstance(row, Job)]
        leads = [row.id for row in rows if isinstance(row, JobGroup)]

        def ask() -> None:
            for lead in leads:
                of_group(lead)
            if ids:
                of_jobs(ids)

        self.host.write(ask, lambda _: self._news(said))

    def action_retry(self) -> None:
        found, groups = self._split()
        jobs = [job for job in found if isinstance(job.state, Ended)]
        if not groups:
            self._offer_retry(jobs)
            return
        source = self.host.source

        def failed() -> list[Job]:
            return [job for group in groups for job in source.groups.failed(group.id)]

        self.host.read(failed, lambda more: self._offer_retry([*jobs, *more]), key="failed")

    def _offer_retry(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            _, groups = self._split()
            self._nothing(
                "has no job that failed, or was stopped, and was not retried."
                if groups
                else "has not ended: only an ended job can be retried."
            )
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
        answers = [
            DialogChoice("r", first, "more"),
            DialogChoice("s", "retry with the same memory", "same"),
        ]
        self.app.push_screen(ConfirmDialog(f"Retry {_these(jobs)}?", lines, answers), answered)

    def action_register(self) -> None:
        """Keep the model of one job under a name; of a sweep that of its best."""
        from cro_tui.screens.register import Register

        rows = self.targets
        if len(rows) != 1:
            self.host.set_notice("One model at a time: unmark the others.", "warn")
            return
        row, source = rows[0], self.host.source
        job_id = row.best_id if isinstance(row, JobGroup) else row.id
        if job_id is None and isinstance(row, JobGroup) and _has(row, StateName.SUCCEEDED):
            self._nothing(
                "has no best run to keep, as its recipe names no metric: unfold it and choose one."
            )
            return
        if job_id is None or (isinstance(row, Job) and not isinstance(row.state, Succeeded)):
            self._nothing("has left no model: only what has succeeded leaves one.")
            return

        if isinstance(row, Job) and not row.spec.kind.traits.leaves_model:
            self._nothing(f"is {row.spec.kind.traits.noun}: it leaves no model.")
            return

        def keep(name: str, alias: str) -> tuple[str, bool]:
            card, is_new = source.models.register(job_id, name)
            if alias:
                source.models.promote(reference_text(card), alias)
            return reference_text(card), is_new

        def answered(answer: tuple[str, str] | None) -> None:
            if answer is not None:
                self.host.write(lambda: keep(*answer), lambda kept: told(*kept, answer[1]))

        def told(reference: str, is_new: bool, alias: str) -> None:
            said = f"{reference} is registered" if is_new else f"{reference} has these very files already"
            self.host.set_notice(f"{said}, and {alias} means it now." if alias else f"{said}.")

        job = row.foremost if isinstance(row, JobGroup) else row
        self.app.push_screen(
            Register(f"Keep the model of #{job_id}", job.spec.recipe or job.spec.name), answered
        )

    def action_copy(self) -> None:
        jobs = [row.foremost if isinstance(row, JobGroup) else row for row in self.targets]
        if jobs:
            self.app.copy_to_clipboard("\n".join(command_text(job, 4000) for job in jobs))
            self._news(f"Copied the command of {jobs_text([job.id for job in jobs])}.")

    # --- how it is said -----------------------------------------------------------------------

    def _retry(self, jobs: Sequence[Job], mem_bytes: Mapping[JobId, int]) -> None:
        """Queue them again: those in `mem_bytes` with so much, the others as they were."""
        ids = [job.id for job in jobs]
        source = self.host.source

        def retry() -> tuple[JobId, ...]:
            if not mem_bytes:
                return source.jobs.retry(ids)
            new: tuple[JobId, ...] = ()
            for job_id in sorted(ids):  # a job waits for the retry of what it needs, so that comes first
                grown = mem_bytes.get(job_id)
                new += source.jobs.retry([job_id], None if grown is None else NeedsRequest(mem_bytes=grown))
            return new

        def done(new: tuple[JobId, ...]) -> None:
            if new:
                if not self._split()[1]:
                    self.host.watch_for(new[0])
                self._news(f"{jobs_text(new)} queued, a retry of {jobs_text(ids)}.")

        self.host.write(retry, done)

    def _news(self, text: str) -> None:
        self.host.set_notice(text)
        self.host.refresh_state()

    def _nothing(self, why: str) -> None:
        rows = self.targets
        self.host.set_notice(f"{_these(rows)} {why}" if rows else "There is no job here.", "warn")


def _has(group: JobGroup, *states: StateName) -> bool:
    lead = controller_of(group)
    return number_in(group, states) > 0 or (lead is not None and lead.state.name in states)


def _these(rows: Sequence[ListRow], *, named: bool = True) -> str:
    """ "#12 forest", "jobs 12, 13", "sweep #40 forest", "2 sweeps and jobs 12, 13"."""
    groups = [row for row in rows if isinstance(row, JobGroup)]
    ids = [row.id for row in rows if isinstance(row, Job)]
    if len(rows) == 1 and not groups and named:
        return f"#{rows[0].id} {name_text(rows[0], 30)}" if isinstance(rows[0], Job) else ""
    told = []
    if len(groups) == 1:
        told.append(f"{_kind(groups[0])} #{groups[0].id} {group_name(groups[0], 30)}")
    elif groups:
        told.append(f"{len(groups)} sweeps")
    if ids:
        told.append(jobs_text(ids))
    return " and ".join(told)


def _kind(group: JobGroup) -> str:
    return "sweep" if group.controller is None else "optimization"


def _loss(row: ListRow, now: float) -> str:
    if isinstance(row, JobGroup):
        head = f"{_kind(row)} #{row.id} {group_name(row, 30)}: {row.size:,} jobs."
        run = at_work(row)
        lost = f" {run:,} run; what they have not saved is lost." if run else ""
        return f"{head}{lost}" + (f" {waiting(row):,} wait." if waiting(row) else "")
    head = f"#{row.id} {name_text(row, 30)}"
    if isinstance(row.state, Active):
        ran = duration_text(elapsed_s(row, now))
        return f"{head} has run {ran}; what it has not saved is lost."
    return f"{head} ({state_word(row)}) has not run; nothing is lost."
