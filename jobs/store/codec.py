"""Jobs, reasons and samples as the JSON that lies in rows and files, and back.

Pure. Text that no version can have written (a damaged row, a file cut short) raises `DamagedRecord` and
nothing else, so that one bad record never takes a reader down. Keys of another version are kept in jobs and
written back; in what is replaced all the time (samples, reasons) they are passed over.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from jobs.core.jobs import (
    Dependency,
    DependencyKind,
    Ended,
    Grant,
    GroupRef,
    Job,
    JobId,
    JobSpec,
    Needs,
    OnReboot,
    Reason,
    ReasonCode,
    State,
    Unit,
    Usage,
)
from jobs.core.kinds import JobKind
from jobs.core.machine import Alert, AlertKind, Capacity, Device, DeviceSample, GpuHold, Pressure, Sample
from jobs.core.versions import Unknown, read_as, unknown_keys, with_unknown
from jobs.kinds.earlier import kind_of

if TYPE_CHECKING:
    from jobs.core.world import Gate

Choice = TypeVar("Choice", bound=StrEnum)

_STATES: dict[str, type[State]] = {kind.name.value: kind for kind in get_args(State)}
_ENDED = get_args(Ended)


_COUNTED: Mapping[str, type[int] | type[float]] = {
    "failed_starts": int,
    "evictions": int,
    "attained_s": float,
    "lost_s": float,
    "idle_s": float,
    "failed_saves": int,
    "memory_tries": int,
    "grown_mem_bytes": int,
    "grown_gpu_mem_bytes": int,
}

_CODES, _UNITS, _ALERTS = frozenset(ReasonCode), frozenset((*Unit, None)), frozenset(AlertKind)
_STORED = {
    "framework": "stack",
    "explicit_needs": "fixed",
    "group": "sweep",
}  # keys of rows, in all versions
_DETAIL = frozenset({"state", "usage", "metrics", *_COUNTED})

_ENCODER = json.JSONEncoder(separators=(",", ":"))  # json.dumps would make one for each call


class DamagedRecord(ValueError):
    """A record cannot be read back."""


def dump(value: object) -> str:
    return _ENCODER.encode(value)


def load(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise DamagedRecord(str(error)) from None


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def plain(value: Any) -> dict[str, Any]:
    """A flat dataclass as a dict without its absent fields."""
    return {
        name: got for name in _names(cast(Any, type(value))) if (got := getattr(value, name)) is not None
    }


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DamagedRecord(f"{value!r} is not a number")
    return value


# --- what was asked for ------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _plain_needs(needs: Needs) -> dict[str, Any]:
    return plain(needs)  # the jobs of a sweep mostly ask for the same


def dump_spec(spec: JobSpec) -> str:
    table = plain(spec)
    table["needs"] = _plain_needs(spec.needs)
    table["after"] = [(after.job_id, after.kind.value) for after in spec.after]
    if not spec.secrets:
        del table["secrets"]
    for name, stored in _STORED.items():
        if name in table:
            table[stored] = table.pop(name)
    return dump(with_unknown(table, table.pop("unknown")))


@lru_cache(maxsize=1024)  # a screen reads the same every second
def load_spec(text: str) -> JobSpec:
    try:
        table = load(text)
        for name, stored in _STORED.items():
            if stored in table:
                table[name] = table.pop(stored)
        unknown = unknown_keys(JobSpec, table) + unknown_keys(Needs, table["needs"], "needs.")
        table["argv"] = tuple(str(word) for word in table["argv"])
        needs = read_as(Needs, table["needs"])
        for number in (needs.cpus, needs.mem_bytes, needs.gpus):
            _number(number)
        for name in ("priority", "grace_s"):
            _number(table.get(name, 0))
        table["needs"] = needs
        after = table.get("after", ())
        table["after"] = tuple(
            Dependency(JobId(int(job_id)), _choice(DependencyKind, kind, DependencyKind.OK))
            for job_id, kind in after
        )
        if any(kind not in set(DependencyKind) for _, kind in after):
            unknown += (("after", dump(after)),)
        table["params"] = tuple((str(name), value) for name, value in table.get("params", ()))
        if "kind" not in table:
            table["kind"] = kind_of(table["argv"], table.get("recipe"))
        kind = table["kind"]
        table["kind"] = _choice(JobKind, kind, JobKind.COMMAND)
        if kind != table["kind"]:
            unknown += (("kind", dump(kind)),)
        reboot = table.get("on_reboot", OnReboot.FAIL)
        table["on_reboot"] = _choice(OnReboot, reboot, OnReboot.FAIL)
        if reboot != table["on_reboot"]:
            unknown += (("on_reboot", dump(reboot)),)
        table["explicit_needs"] = tuple(str(name) for name in table.get("explicit_needs", ()))
        table["secrets"] = tuple(str(name) for name in table.get("secrets", ()))
        if table.get("group") is not None:
            first, size = table["group"]
            table["group"] = GroupRef(JobId(int(first)), int(size))
        return read_as(JobSpec, table | {"unknown": unknown})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedRecord(f"specification: {error}") from None


def _choice(kind: type[Choice], word: object, otherwise: Choice) -> Choice:
    """One of the words that this version knows. Raises Damaged for what is no word at all."""
    if not isinstance(word, str):
        raise DamagedRecord(f"{word!r} is not a word")
    try:
        return kind(word)
    except ValueError:
        return otherwise


# --- where it stands ---------------------------------------------------------------------------------


def dump_detail(job: Job) -> str:
    """State, usage and metrics; the state's name is the row's own column."""
    state = plain(job.state)
    if "grant" in state:
        grant: Grant = state["grant"]
        state["grant"] = list(grant.device_uuids)
        if grant.reserved is not None:
            state["reserves"] = plain(grant.reserved)
    usage = state.pop("usage", job.usage)
    table: dict[str, Any] = {"state": state, "usage": plain(usage)}
    if job.metrics:
        table["metrics"] = job.metrics
    for name in _COUNTED:
        if counted := getattr(job, name):
            table[name] = counted
    if job.unknown:
        with_unknown(table, tuple(_still_there(job)))
    return dump(table)


def _still_there(job: Job) -> Iterator[tuple[str, str]]:
    """The unknown keys of the job's row; those of a state only while it is in that state."""
    of_state = f"{job.state.name}:"
    for path, value in job.unknown:
        if path.startswith(of_state):
            yield f"state.{path.removeprefix(of_state)}", value
        elif ":" not in path:
            yield path, value


def load_job(row: sqlite3.Row | Mapping[str, Any]) -> Job:
    """A job from a row of `jobs`, with the reasons as stored."""
    spec = load_spec(row["spec"])
    try:
        table = load(row["detail"])
        used = table.get("usage", {})
        usage = read_as(Usage, used)
        kind = _STATES[row["state"]]
        state = dict(table["state"])
        unknown = _unknown_in_detail(kind, table, state, used)
        if "grant" in state:
            reserves = state.pop("reserves", None)
            needs = None if reserves is None else read_as(Needs, reserves)
            state["grant"] = Grant(tuple(state["grant"]), needs)
        if "evict_for" in state:
            state["evict_for"] = tuple(JobId(job_id) for job_id in state["evict_for"])
        if kind in _ENDED:
            state["usage"] = usage
            for name in _names(cast(Any, kind)):
                state.setdefault(name, None)
        if spec.priority != row["priority"]:
            spec = JobSpec(
                **{name: getattr(spec, name) for name in _names(JobSpec)} | {"priority": row["priority"]}
            )
        counted: dict[str, Any] = {name: kind_(table.get(name, 0)) for name, kind_ in _COUNTED.items()}
        return Job(
            JobId(row["id"]),
            spec,
            read_as(kind, state),
            row["submitted_at"],
            row["attempts"],
            usage,
            load_reasons(row["reasons"]),
            row["estimated_start_at"],
            tuple((str(name), float(number)) for name, number in table.get("metrics", ())),
            unknown=unknown,
            **counted,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedRecord(f"job {row['id']}: {error}") from None


def _unknown_in_detail(
    kind: type[State], table: Mapping[str, Any], state: Mapping[str, Any], used: Mapping[str, Any]
) -> Unknown:
    """What another version has written into a row beside what this one reads."""
    top = tuple((key, dump(value)) for key, value in table.items() if key not in _DETAIL)
    of_state = {key: value for key, value in state.items() if key != "reserves"}
    return top + unknown_keys(kind, of_state, f"{kind.name}:") + unknown_keys(Usage, used, "usage.")


# --- why it waits --------------------------------------------------------------------------------------


def dump_reasons(reasons: Sequence[Reason]) -> str:
    return dump(
        [{name: got for name, got in plain(reason).items() if got not in ((), "")} for reason in reasons]
    )


@lru_cache(maxsize=1024)
def load_reasons(text: str | None) -> tuple[Reason, ...]:
    if not text:
        return ()
    reasons = []
    try:
        for table in load(text):
            if table["code"] not in _CODES or table.get("unit") not in _UNITS:
                continue  # a reason of a later version
            table["code"] = ReasonCode(table["code"])
            if "unit" in table:
                table["unit"] = Unit(table["unit"])
            table["jobs"] = tuple(JobId(job_id) for job_id in table.get("jobs", ()))
            reasons.append(read_as(Reason, table))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedRecord(f"reasons: {error}") from None
    return tuple(reasons)


# --- the machine ---------------------------------------------------------------------------------------


def dump_sample(sample: Sample) -> dict[str, Any]:
    table = plain(sample)
    table["pressure"] = plain(sample.pressure)
    table["devices"] = [
        plain(device) | ({} if device.holds is None else {"holds": [plain(hold) for hold in device.holds]})
        for device in sample.devices
    ]
    table["alerts"] = [plain(alert) for alert in sample.alerts]
    table["jobs"] = [(job_id, plain(usage)) for job_id, usage in sample.jobs.items()]
    return table


def load_sample(table: Mapping[str, Any]) -> Sample:
    try:
        values = dict(table)
        values["per_core"] = tuple(values["per_core"])
        values["pressure"] = read_as(Pressure, values["pressure"])
        values["devices"] = tuple(_load_device_sample(device) for device in values["devices"])
        values["alerts"] = tuple(
            read_as(Alert, {**alert, "kind": AlertKind(alert["kind"])})
            for alert in values.get("alerts", ())
            if alert["kind"] in _ALERTS
        )
        values["jobs"] = {JobId(job_id): read_as(Usage, usage) for job_id, usage in values["jobs"]}
        return read_as(Sample, values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedRecord(f"sample: {error}") from None


def _load_device_sample(table: Mapping[str, Any]) -> DeviceSample:
    holds = table.get("holds")
    held = None if holds is None else tuple(read_as(GpuHold, hold) for hold in holds)
    return read_as(DeviceSample, {**table, "holds": held})


def dump_capacity(capacity: Capacity) -> dict[str, Any]:
    return plain(capacity) | {
        "devices": [plain(device) for device in capacity.devices],
        "shown": [plain(device) for device in capacity.shown],
    }


def load_capacity(table: Mapping[str, Any]) -> Capacity:
    try:
        devices = tuple(read_as(Device, device) for device in table["devices"])
        shown = tuple(read_as(Device, device) for device in table.get("shown", ()))
        return Capacity(float(table["cpus"]), int(table["mem_bytes"]), devices, shown)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedRecord(f"capacity: {error}") from None


def load_gate(table: Mapping[str, Any]) -> Gate:
    from jobs.core.world import Gate

    try:
        return read_as(Gate, table)
    except (TypeError, AttributeError) as error:
        raise DamagedRecord(f"gate: {error}") from None


# --- who has used the machine ---------------------------------------------------------------------------

USAGE = "usage"  # the row of `meta`


def dump_shares(usage_at: float, usage: Mapping[str, float], backlog_s: float) -> str:
    """What users have used up to a moment, and the backlog, so that a restarted scheduler is as fair."""
    return dump([usage_at, {user: round(used, 1) for user, used in usage.items()}, round(backlog_s, 1)])


def load_shares(text: str) -> tuple[float, Mapping[str, float], float]:
    """The way back; what does not make sense is forgotten."""
    try:
        usage_at, usage, *backlog = load(text)
        known = {str(user): float(used) for user, used in usage.items()}
        return float(usage_at), known, float(backlog[0]) if backlog else 0.0
    except (DamagedRecord, TypeError, ValueError, AttributeError):
        return 0.0, {}, 0.0


# --- how good estimates were ------------------------------------------------------------------------------

ESTIMATES = "estimates"  # the row of `meta`


def dump_errors(errors: Iterable[float]) -> str:
    """By how much the last estimated starts were off: see `policy.explain`."""
    return dump([round(error, 3) for error in errors])


def load_errors(text: str) -> list[float]:
    """The way back; what does not make sense is forgotten."""
    try:
        return [float(error) for error in load(text)]
    except (DamagedRecord, TypeError, ValueError):
        return []
