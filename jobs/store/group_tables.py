"""The migration that makes groups: their tables, what the database keeps of them itself, and older jobs.

Append only, like the migrations beside it; reading a group is `groups`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

LIVE_TALLIES = (  # as the index says it, word for word, or the index is not used
    "jobs > 0 AND state IN ('not_seen', 'queued', 'held', 'starting', 'running', 'paused')"
)
_PROGRAM = '"-P","-m","jobs.optimizing"'  # in the command of a controller, as it was written then
_TABLES = (("jobs", "id", "spec"), ("intents", "job_id", "body"))  # of an intent only submits have a lead


def retried(job_id: str) -> str:
    """A query for a job and all jobs that it repeats, back to the first."""
    return (
        f"WITH RECURSIVE up(id) AS (SELECT {job_id} UNION SELECT coalesce("
        "(SELECT retry_of FROM jobs WHERE id = up.id), "
        "(SELECT retry_of FROM intents WHERE kind = 'submit' AND job_id = up.id)) "
        "FROM up WHERE up.id IS NOT NULL) SELECT id FROM up WHERE id IS NOT NULL"
    )


def _newest(job_id: str) -> str:
    """A query for the last of a job and all that repeat it; NULL where there is no such job."""
    return (
        f"WITH RECURSIVE down(id) AS (SELECT id FROM jobs WHERE id = {job_id} "
        f"UNION SELECT job_id FROM intents WHERE kind = 'submit' AND job_id = {job_id} "
        "UNION SELECT jobs.id FROM down JOIN jobs ON jobs.retry_of = down.id "
        "UNION SELECT intents.job_id FROM down JOIN intents ON intents.retry_of = down.id) "
        "SELECT max(id) FROM down"
    )


def groups_and_tallies(database: Database) -> None:
    """Jobs that belong together: `lead` is the first job of a sweep, or the first controller of an
    optimisation; `groups.controller` is the newest one, and of a sweep nothing.

    `group_tallies` counts a group's jobs by state; of a job that was retried only the retry counts.
    `judged_by` has metrics with "max" or "min", and `group_bests` the best of each so far.
    """
    database.execute("ALTER TABLE jobs ADD COLUMN lead INTEGER")
    database.execute("ALTER TABLE intents ADD COLUMN lead INTEGER")
    database.table("groups").create(
        {"id": int, "name": str, "size": int, "controller": int, "judged_by": str, "finished_at": float},
        pk="id",
        not_null={"name", "size"},
        defaults={"judged_by": "[]"},
    )
    database.table("group_tallies").create({"lead": int, "state": str, "jobs": int}, pk=("lead", "state"))
    database.table("group_bests").create(
        {"lead": int, "metric": str, "value": float, "job_id": int}, pk=("lead", "metric")
    )
    database.execute("CREATE INDEX intents_retries ON intents(retry_of, job_id) WHERE retry_of IS NOT NULL")
    _take_in(database)
    database.execute("CREATE INDEX jobs_groups ON jobs(lead, state, unmet, priority DESC, id)")
    database.execute(
        "CREATE INDEX jobs_group_ends ON jobs(lead, finished_at DESC, id DESC) "
        "WHERE finished_at IS NOT NULL"
    )
    database.execute("CREATE INDEX intents_groups ON intents(lead, job_id) WHERE kind = 'submit'")
    database.execute("CREATE INDEX groups_ended ON groups(finished_at DESC, id DESC)")
    database.execute("CREATE INDEX groups_controllers ON groups(controller) WHERE controller IS NOT NULL")
    database.execute(f"CREATE INDEX group_tallies_live ON group_tallies(lead, state) WHERE {LIVE_TALLIES}")
    _count(database)
    _keep_together(database)


def missing_in_groups(database: Database) -> None:
    """What some databases of version 6 to 8 lack: triggers, indexes, and the best run of older groups."""
    database.execute(
        "CREATE INDEX IF NOT EXISTS intents_retries ON intents(retry_of, job_id) WHERE retry_of IS NOT NULL"
    )
    database.execute(
        f"CREATE INDEX IF NOT EXISTS group_tallies_live ON group_tallies(lead, state) WHERE {LIVE_TALLIES}"
    )
    _keep_together(database)
    _find_controllers(database)
    database.execute(
        "WITH scores AS (SELECT lead, jobs.id AS job_id, json_extract(each.value, '$[0]') AS metric, "
        "json_extract(each.value, '$[1]') AS value "
        "FROM jobs, json_each(iif(json_valid(detail), detail, '{}'), '$.metrics') AS each "
        "WHERE lead IS NOT NULL AND state = 'succeeded'), "
        "judged AS (SELECT groups.id AS lead, json_extract(each.value, '$[0]') AS metric, "
        "iif(json_extract(each.value, '$[1]') = 'max', -1, 1) AS sign "
        "FROM groups, json_each(iif(json_valid(judged_by), judged_by, '[]')) AS each), "
        "placed AS (SELECT lead, metric, value, job_id, row_number() OVER "
        "(PARTITION BY lead, metric ORDER BY sign * value, job_id) AS place "
        "FROM scores JOIN judged USING (lead, metric) WHERE typeof(value) IN ('integer', 'real')) "
        "INSERT OR IGNORE INTO group_bests(lead, metric, value, job_id) "
        "SELECT lead, metric, value, job_id FROM placed WHERE place = 1"
    )


def _find_controllers(database: Database) -> None:
    database.execute(
        f"UPDATE groups SET controller = ({_newest('groups.id')}) WHERE controller IS NOT NULL"
    )


def _take_in(database: Database) -> None:
    """Groups of the jobs, read or not, that are there already; what a damaged one belongs to is unknown."""
    for table, _, spec in _TABLES:
        database.execute(
            f"UPDATE {table} SET lead = json_extract({spec}, '$.sweep[0]') "
            f"WHERE instr({spec}, '\"sweep\":[') "
            f"AND iif(json_valid({spec}), json_type({spec}, '$.sweep[0]'), NULL) = 'integer'"
        )
    size = "max(coalesce(json_extract(spec, '$.sweep[1]'), 0))"
    database.execute(
        "INSERT INTO groups(id, name, size, controller, finished_at) "
        f"SELECT lead, coalesce(min(recipe), 'sweep'), {size}, iif({size} = 0, lead, NULL), "
        "max(finished_at) "
        "FROM (SELECT lead, recipe, spec, finished_at FROM jobs WHERE lead IS NOT NULL UNION ALL "
        "SELECT lead, recipe, body, NULL FROM intents WHERE lead IS NOT NULL) GROUP BY lead"
    )
    for table, job_id, spec in _TABLES:
        database.execute(
            "INSERT INTO groups(id, name, size, controller, judged_by) "
            "SELECT id, name, coalesce(json_extract(plan, '$.trials'), 0), id, "
            "json_array(json_array(json_extract(plan, '$.metric'), json_extract(plan, '$.better'))) "
            f"FROM (SELECT {job_id} AS id, name, json_extract({spec}, '$.argv[#-1]') AS plan FROM {table} "
            f"WHERE retry_of IS NULL AND instr({spec}, ?) AND json_valid({spec})) WHERE json_valid(plan) "
            "ON CONFLICT(id) DO UPDATE SET name = excluded.name, size = excluded.size, "
            "controller = excluded.controller, judged_by = excluded.judged_by",
            (_PROGRAM,),
        )
    _find_controllers(database)
    database.execute(
        "UPDATE groups SET size = (SELECT count(*) FROM jobs WHERE lead = groups.id) WHERE size = 0"
    )
    database.execute(
        "INSERT INTO group_tallies SELECT lead, state, count(*) FROM jobs WHERE lead IS NOT NULL "
        "GROUP BY lead, state UNION ALL SELECT lead, 'not_seen', count(*) FROM intents "
        "WHERE lead IS NOT NULL GROUP BY lead"
    )


def _count(database: Database) -> None:
    """Tallies follow each change of a job that has a lead."""
    count = (
        "INSERT INTO group_tallies(lead, state, jobs) VALUES ({0}.lead, {0}.state, {1}) "
        "ON CONFLICT(lead, state) DO UPDATE SET jobs = jobs + excluded.jobs;"
    )
    into, out_of = count.format("new", "1"), count.format("old", "-1")
    ended = "UPDATE groups SET finished_at = max(coalesce(finished_at, 0), new.finished_at) "
    ended += "WHERE id = new.lead AND new.finished_at IS NOT NULL;"
    for name, moment, condition, act in (
        ("in", "INSERT ON jobs", "new.lead IS NOT NULL", f"{into} {ended}"),
        ("out", "DELETE ON jobs", "old.lead IS NOT NULL", out_of),
        (
            "move",
            "UPDATE OF state ON jobs",
            "new.lead IS NOT NULL AND old.state <> new.state",
            f"{out_of} {into} {ended}",
        ),
        (
            "retry",
            "INSERT ON jobs",
            "new.lead IS NOT NULL AND new.retry_of IS NOT NULL AND NOT EXISTS "
            "(SELECT 1 FROM jobs WHERE retry_of = new.retry_of AND id <> new.id)",
            "UPDATE group_tallies SET jobs = jobs - 1 WHERE lead = new.lead AND state = "
            "(SELECT state FROM jobs WHERE id = new.retry_of AND lead = new.lead);",
        ),
    ):
        database.execute(f"CREATE TRIGGER group_{name} AFTER {moment} WHEN {condition} BEGIN {act} END")


def _keep_together(database: Database) -> None:
    """A job with a lead has a group, however it comes in, and a retried controller goes on with its own."""
    for table, job_id, spec in _TABLES:
        size = f"iif(json_valid(new.{spec}), coalesce(json_extract(new.{spec}, '$.sweep[1]'), 0), 1)"
        database.execute(
            f"CREATE TRIGGER IF NOT EXISTS group_of_{table} BEFORE INSERT ON {table} "
            "WHEN new.lead IS NOT NULL AND NOT EXISTS (SELECT 1 FROM groups WHERE id = new.lead) BEGIN "
            "INSERT INTO groups(id, name, size, controller) "
            f"VALUES (new.lead, coalesce(new.recipe, 'sweep'), {size}, "
            f"iif({size} = 0, ({_newest('new.lead')}), NULL)); END"
        )
        database.execute(
            f"CREATE TRIGGER IF NOT EXISTS group_controller_{table} AFTER INSERT ON {table} "
            "WHEN new.lead IS NULL AND new.retry_of IS NOT NULL BEGIN "
            f"UPDATE groups SET controller = new.{job_id} WHERE controller < new.{job_id} "
            f"AND id IN ({retried('new.retry_of')}); END"
        )
