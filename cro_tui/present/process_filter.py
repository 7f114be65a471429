"""What is typed to narrow the list of processes: words, and comparisons like `user==ana vram>2G cpu>0.5`.

Pure. All of it must hold. A comparison with what was not read does not hold.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable

from jobs.machine.process_groups import GroupKind, ProcessGroup

_Test = Callable[[ProcessGroup], bool]
_TERM = re.compile(r"(\w+)(==|!=|>=|<=|>|<|=)(.*)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
    "==": operator.eq, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
_NUMBERS: dict[str, Callable[[ProcessGroup], float | None]] = {
    "cpu": lambda group: group.cpus,
    "mem": lambda group: group.mem_bytes,
    "vram": lambda group: group.gpu_mem_bytes,
    "io": lambda group: group.io_per_s,
    "procs": lambda group: float(len(group.processes)),
    "job": lambda group: None if group.job_id is None else float(group.job_id),
}
_SIZES = frozenset({"mem", "vram", "io"})
_TEXTS: dict[str, Callable[[ProcessGroup], str]] = {
    "user": lambda group: group.user or "",
    "kind": lambda group: group.kind.value,
}
EXAMPLE = "Write it like user==ana vram>2G cpu>0.5, or a part of the name."


def process_filter(text: str) -> tuple[_Test, str]:
    """A test of groups, and one sentence for what cannot be read (then everything passes)."""
    tests = []
    for word in text.split():
        test, wrong = _term(word)
        if wrong:
            return lambda _: True, wrong
        tests.append(test)
    return lambda group: all(test(group) for test in tests), ""


def _term(word: str) -> tuple[_Test, str]:
    found = _TERM.fullmatch(word)
    if found is None:
        return lambda group: _named(group, word.lower()), ""
    name, sign, value = found[1].lower(), found[2], found[3]
    if name == "pid":
        fits = value.isdecimal() and sign in ("==", "=", "!=")
        return (lambda group: _has_pid(group, value, sign)), "" if fits else _wrong(word)
    if name in _TEXTS:
        if sign not in ("==", "=", "!="):
            return _everything, f"{name} is a text: compare it with == or !=."
        read = _TEXTS[name]
        return (lambda group: (read(group) == value) == (sign != "!=")), ""
    if name not in _NUMBERS:
        known = ", ".join(("pid", *_TEXTS, *_NUMBERS))
        return _everything, f"There is no column {name[:20]!r}: there are {known}."
    number = _amount(value) if name in _SIZES else _number(value)
    if number is None:
        return _everything, _wrong(word)
    measured, compare = _NUMBERS[name], _COMPARE[sign]

    def test(group: ProcessGroup) -> bool:
        there = measured(group)
        return there is not None and compare(there, number)

    return test, ""


def _everything(_: ProcessGroup) -> bool:
    return True


def _wrong(word: str) -> str:
    return f"{word[:30]!r} cannot be read. {EXAMPLE}"


def _named(group: ProcessGroup, word: str) -> bool:
    if group.job_id is not None and word == f"#{group.job_id}":
        return True
    if word == "foreign":
        return not group.ours and group.kind is not GroupKind.KERNEL
    if word == "ours":
        return group.ours
    hay = (
        group.title,
        group.user or "",
        group.kind.value,
        *(f"{p.name} {p.command}" for p in group.processes),
    )
    return any(word in text.lower() for text in hay)


def _has_pid(group: ProcessGroup, value: str, sign: str) -> bool:
    there = any(str(process.pid) == value for process in group.processes)
    return there != (sign == "!=")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _amount(text: str) -> float | None:
    from jobs.core.amounts import parse_mem
    from jobs.core.ports import BadInput

    try:
        return float(parse_mem(text))
    except BadInput:
        return None
