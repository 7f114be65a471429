"""Groups read as one row: a sweep, or an optimisation with its trials, however many jobs it has.

What a row says is kept in the transactions that change jobs (`group_tallies`, `group_bests`), so it costs
the same for ten jobs and for 100,000. A row stands where the foremost of its jobs would. Writes nothing.
"""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from jobs.core.jobs import PRUNED, Job, JobId, StateName
from jobs.core.requests import JobGroup
from jobs.core.sweeps import RunColumns, columns_of
from jobs.store.codec import DamagedRecord, dump, load
from jobs.store.group_tables import LIVE_TALLIES, retried
from jobs.store.sections import ALONE, COLUMNS, PENDING, Section, of_group, sections

_NOT_SEEN = "not_seen"
_EVER = 1e300
_STATES = {name.value: name for name in StateName}
End = tuple[float, int]  # when a job ended, and its id: where a page of ended jobs begins


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a folded list: a job, or the group `lead` in whose place `row` stands.

    `member`: it stands below its unfolded group.
    """

    row: sqlite3.Row
    lead: int | None = None
    member: bool = False


def folded(
    connection: sqlite3.Connection, limit: int, unfolded: Collection[JobId], before: End | None = None
) -> list[Line]:
    """The first `limit` lines in the queue's order, each group as one; those below an unfolded one besides.

    `before` leaves out all but what ended before that moment.
    """
    lines: list[Line] = []
    live = _live(connection)
    controllers = _controllers(connection, live)
    placed: set[int] = set()
    alone = sections(ALONE)
    for number, section in enumerate(alone[:-1] if before is None else ()):
        if len(lines) >= limit:
            break
        found = [Line(row) for row in _rows(connection, section, limit - len(lines))]
        for lead in live:
            if lead in placed or lead in controllers or not _may_stand(live[lead], section):
                continue
            own = sections(of_group(lead))[number]
            if row := next(iter(_rows(connection, own, 1)), None):
                placed.add(lead)
                found.append(Line(row, lead))
        found.sort(key=lambda line, key=section.key: key(line.row))  # type: ignore[misc]
        lines += found[: limit - len(lines)]
    if len(lines) < limit:
        lines += _ended(connection, alone[-1], limit - len(lines), live, before)
    lines = _marked(connection, lines, hidden=set(live) - set(controllers))
    return [each for line in lines for each in (line, *_below(connection, line, unfolded, limit))]


def rows_of(connection: sqlite3.Connection, lead: int, limit: int) -> list[sqlite3.Row]:
    """The jobs of a group in the queue's order, of an optimisation without its controller."""
    rows: list[sqlite3.Row] = []
    for section in sections(of_group(lead)):
        if len(rows) < limit:
            rows += _rows(connection, section, limit - len(rows))
    return rows


def tallied(connection: sqlite3.Connection, leads: Sequence[int]) -> dict[int, int]:
    """How many jobs of each of these groups wait to start, at least the one that it stands for."""
    counted = dict.fromkeys(leads, 1)
    counted |= connection.execute(
        "SELECT lead, jobs FROM group_tallies WHERE state = 'queued' AND jobs > 0 "
        "AND lead IN (SELECT value FROM json_each(?))",
        (dump(list(leads)),),
    ).fetchall()
    return counted


def groups(connection: sqlite3.Connection, foremost: dict[int, Job]) -> dict[int, JobGroup]:
    """The groups of these ids, each with the job in whose place it stands."""
    leads = dump(list(foremost))
    these = "IN (SELECT value FROM json_each(?))"
    counts: dict[int, dict[StateName, int]] = {lead: {} for lead in foremost}
    for lead, state, number in connection.execute(
        f"SELECT lead, state, jobs FROM group_tallies WHERE lead {these} AND jobs > 0", (leads,)
    ):
        name = StateName.QUEUED if state == _NOT_SEEN else StateName(state)
        counts[lead][name] = counts[lead].get(name, 0) + number
    best: dict[int, dict[str, tuple[float, int]]] = {}
    for lead, metric, value, job_id in connection.execute(
        f"SELECT lead, metric, value, job_id FROM group_bests WHERE lead {these}", (leads,)
    ):
        best.setdefault(lead, {})[metric] = value, job_id
    made = {}
    for row in connection.execute(f"SELECT * FROM groups WHERE id {these}", (leads,)):
        lead = row["id"]
        judged_by = _judged_by(row["judged_by"])
        group = JobGroup(
            JobId(lead),
            str(row["name"]),
            max(row["size"], sum(counts[lead].values())),
            foremost[lead],
            counts[lead],
            controller=None if row["controller"] is None else JobId(row["controller"]),
            judged_by=judged_by,
        )
        metric = next((metric for metric, _ in judged_by if metric in best.get(lead, {})), "")
        if metric:
            value, job_id = best[lead][metric]
            group = replace(group, metric=metric, best=value, best_id=JobId(job_id))
        made[lead] = group
    return made


def lead_of_controller(connection: sqlite3.Connection, job_id: JobId) -> JobId | None:
    """The group of a job that is a controller of an optimisation, the first one or a retry."""
    row = connection.execute(
        f"SELECT id FROM groups WHERE controller IS NOT NULL AND id IN ({retried('?')})", (job_id,)
    ).fetchone()
    return None if row is None else JobId(row[0])


def ids_in(
    connection: sqlite3.Connection, lead: int, states: Iterable[StateName], *, unretried: bool = False
) -> tuple[JobId, ...]:
    """Which jobs of a group are in one of these states, in order; `unretried`: and have no retry."""
    wanted = dump([state.value for state in states])
    later = "AND NOT EXISTS (SELECT 1 FROM {0} AS later WHERE later.retry_of = jobs.id) "
    new = later.format("jobs") + later.format("intents") if unretried else ""
    rows = connection.execute(
        "SELECT id FROM jobs WHERE lead = ?1 AND state IN (SELECT value FROM json_each(?2)) "
        f"{new} UNION ALL SELECT id FROM ({PENDING}{of_group(lead)}) "
        "WHERE state IN (SELECT value FROM json_each(?2)) ORDER BY id",
        (lead, wanted),
    )
    return tuple(JobId(number) for (number,) in rows)


def runs(connection: sqlite3.Connection, lead: int, most: int) -> RunColumns:
    """The first of a group's jobs by id, in short, by index alone; a damaged one is left out."""
    params = "json_extract({0}, '$.params')"
    rows = connection.execute(
        f"SELECT id, state, {params.format('spec')}, json_extract(detail, '$.metrics'), "
        "iif(state = 'cancelled', json_extract(detail, '$.state.cause'), NULL) "
        "FROM jobs WHERE lead = ?1 AND json_valid(spec) AND json_valid(detail) UNION ALL "
        "SELECT job_id, iif(instr(body, '\"start_held\":true'), 'held', 'queued'), "
        f"{params.format('body')}, NULL, NULL FROM intents WHERE kind = 'submit' AND lead = ?1 "
        "AND json_valid(body) ORDER BY id LIMIT ?2",
        (lead, most),
    ).fetchall()
    with _not_collecting():
        try:
            return _columns(rows)
        except (KeyError, ValueError, TypeError):
            return _columns([row for row in rows if _makes_sense(row)])


@contextmanager
def _not_collecting() -> Iterator[None]:
    """While 100,000 small objects are made that all stay, looking for garbage takes half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _columns(rows: Sequence[sqlite3.Row]) -> RunColumns:
    """Raises KeyError, TypeError, ValueError if one of them makes no sense."""
    given = ",".join([params or "[]" for _, _, params, _, _ in rows])
    left = ",".join([(state == "succeeded" and metrics) or "[]" for _, state, _, metrics, _ in rows])
    return RunColumns(
        [job_id for job_id, *_ in rows],
        [_STATES[state] for _, state, *_ in rows],
        frozenset(job_id for job_id, *_, cause in rows if cause is not None and cause.startswith(PRUNED)),
        columns_of(_all(given, len(rows))),
        columns_of(_all(left, len(rows))),
    )


def _all(texts: str, count: int) -> Any:
    """What so many JSON texts with commas between say, read at once: one by one takes twice as long."""
    found = load(f"[{texts}]")
    if len(found) != count:
        raise ValueError("one of them is more or less than one")
    return found


def _makes_sense(row: sqlite3.Row) -> bool:
    try:
        _columns([row])
    except (KeyError, ValueError, TypeError):
        return False
    return True


# --- how it is done ---------------------------------------------------------------------------------


def _live(connection: sqlite3.Connection) -> dict[int, set[str]]:
    """The groups that have jobs which have not ended, with the states of those."""
    live: dict[int, set[str]] = {}
    for lead, state in connection.execute(
        f"SELECT lead, state FROM group_tallies WHERE {LIVE_TALLIES} ORDER BY lead"
    ):
        live.setdefault(lead, set()).add(state)
    return live


def _controllers(connection: sqlite3.Connection, live: Collection[int]) -> set[int]:
    """Those of the groups whose controller has not ended: it stands in the list itself."""
    rows = connection.execute(
        "SELECT groups.id FROM groups LEFT JOIN jobs ON jobs.id = groups.controller "
        "WHERE groups.controller IS NOT NULL AND jobs.finished_at IS NULL "
        "AND groups.id IN (SELECT value FROM json_each(?))",
        (dump(list(live)),),
    )
    return {row[0] for row in rows}


def _may_stand(states: set[str], section: Section) -> bool:
    return (_NOT_SEEN if section.pending else section.state) in states


def _rows(connection: sqlite3.Connection, section: Section, limit: int) -> list[sqlite3.Row]:
    sql = f"SELECT {COLUMNS} {section.source} ORDER BY {section.order} LIMIT ?"
    return connection.execute(sql, (limit,)).fetchall()


def _ended(
    connection: sqlite3.Connection,
    section: Section,
    limit: int,
    live: Collection[int],
    before: End | None,
) -> list[Line]:
    """Ended jobs that stand alone, and ended sweeps where the last of their jobs ended."""
    page, values = "", ()  # type: tuple[str, tuple[float, ...]]
    if before is not None:
        page, values = " AND (finished_at, id) < (?, ?)", before
    sql = f"SELECT {COLUMNS} {section.source}{page} ORDER BY {section.order} LIMIT ?"
    found = [Line(row) for row in connection.execute(sql, (*values, limit))]
    ends = connection.execute(
        "SELECT id FROM groups WHERE controller IS NULL AND finished_at <= ? "
        "ORDER BY finished_at DESC, id DESC",
        (_EVER if before is None else before[0],),
    )
    number = 0
    for (lead,) in ends:
        if number >= limit:
            break
        last = (
            None if lead in live else next(iter(_rows(connection, sections(of_group(lead))[-1], 1)), None)
        )
        if last is None or (before is not None and (last["finished_at"], last["id"]) >= before):
            continue
        found.append(Line(last, lead))
        number += 1
    found.sort(key=lambda line: section.key(line.row))
    return found[:limit]


def _marked(connection: sqlite3.Connection, lines: Sequence[Line], hidden: Collection[int]) -> list[Line]:
    """Controllers stand for their optimisations; one that has ended before its trials stands with them."""
    leads = dict(
        connection.execute(
            "SELECT controller, id FROM groups WHERE controller IN (SELECT value FROM json_each(?))",
            (dump([line.row["id"] for line in lines if line.lead is None]),),
        ).fetchall()
    )
    return [
        replace(line, lead=leads.get(line.row["id"])) if line.lead is None else line
        for line in lines
        if line.lead is not None or leads.get(line.row["id"]) not in hidden
    ]


def _below(
    connection: sqlite3.Connection, line: Line, unfolded: Collection[JobId], limit: int
) -> Iterable[Line]:
    if line.lead is None or line.lead not in unfolded:
        return ()
    (controller,) = connection.execute(
        "SELECT controller FROM groups WHERE id = ?", (line.lead,)
    ).fetchone() or (None,)
    first = [] if controller is None else _one(connection, controller)
    return (Line(row, member=True) for row in [*first, *rows_of(connection, line.lead, limit)])


def _one(connection: sqlite3.Connection, job_id: int) -> list[sqlite3.Row]:
    return connection.execute(
        f"SELECT {COLUMNS} FROM jobs WHERE id = ?1 UNION ALL {PENDING} AND job_id = ?1", (job_id,)
    ).fetchall()


def _judged_by(text: str) -> tuple[tuple[str, str], ...]:
    try:
        return tuple((str(metric), str(better)) for metric, better in load(text))
    except (DamagedRecord, TypeError, ValueError):
        return ()
