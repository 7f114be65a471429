"""Models in words: a row of the list, the card of a version, and two versions side by side. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cro_tui.present.amounts import ago, bytes_text, clean, counted, duration_text, number_text
from jobs.core.tracking import ModelCard, RegisteredModel, card_table
from jobs.core.trust import unusual

_LONG = 1000
_SHORT_DIGEST = 12
_PICKLES = frozenset({"sklearn", "joblib", "pickle"})


def reference_text(card: ModelCard) -> str:
    return f"{clean(card.name, 64)}:{card.version}"


def metric_text(card: ModelCard) -> str:
    """ "accuracy 0.972", or nothing."""
    main = card.main_metric
    return "" if main is None else f"{clean(main[0], 24)} {main[1]:.4g}"


def aliases_text(model: RegisteredModel, card: ModelCard) -> str:
    return " ".join(f"@{clean(alias, 32)}" for alias in model.aliases_of(card.version))


def card_rows(card: ModelCard, model: RegisteredModel, now: float) -> list[tuple[str, str]]:
    """The card as labelled lines; an empty value is not to be shown."""
    params = "  ".join(f"{clean(name, 40)}={clean(str(value), 80)}" for name, value in card.params.items())
    metrics = "  ".join(f"{clean(name, 24)} {value:.6g}" for name, value in card.metrics.items())
    job = f"#{card.job_id}, attempt {card.attempt}" if card.job_id else ""
    job += f", recipe {clean(card.recipe, 64)}" if job and card.recipe else ""
    job += f", by {clean(card.user, 40)}" if job and card.user else ""
    rows = [
        ("Model", f"{reference_text(card)}  {aliases_text(model, card)}".rstrip()),
        ("Note", clean(card.note, _LONG)),
        ("Licence", clean(card.licence, 200)),
        ("Flavour", clean(card.flavor, 40)),
        ("Metrics", metrics),
        ("Params", params),
        ("From job", job),
        ("From file", clean(card.source, _LONG)),
        ("Registered", ago(card.registered_at, now)),
        ("Cost", _cost(card)),
        *(("Data", f"{clean(name, 40)}: {clean(text, _LONG)}") for name, text in card.data.items()),
        ("Packages", "  ".join(f"{clean(name, 40)} {clean(to, 40)}" for name, to in card.packages.items())),
        ("Takes", takes_text(card)),
        ("Digest", clean(card.digest, 64)),
    ]
    rows += [("File", f"{clean(file.path, 200)}  {bytes_text(file.size_bytes)}") for file in card.files]
    if card.trusted:
        rows.append(("Loads", clean(", ".join(unusual_first(card.types)), _LONG)))
        rows.append(
            ("Care", "from elsewhere: somebody here agreed that it loads these, and it loads no others")
        )
    elif card.flavor in _PICKLES:
        rows.append(
            ("Care", "a pickle: loading it can run code, so load only what you or people you trust wrote")
        )
    return [(label, text) for label, text in rows if text]


def unusual_first(types: Sequence[str]) -> list[str]:
    """All names that a file would load, those that are not usual for a model first and marked with !."""
    odd = unusual(types)
    return [*(f"! {name}" for name in odd), *(name for name in types if name not in odd)]


def asked_text(path: str, types: Sequence[str]) -> str:
    """What a file from elsewhere would load, before a person is asked whether it may."""
    odd = len(unusual(types))
    said = f", {odd} of them not usual for a model (!)" if odd else ", all of them usual for a model"
    names = counted(len(types), "name")
    head = f"{clean(path, _LONG)} can run code when it is loaded. It would load {names}{said}:"
    return "\n".join([head, *(f"  {clean(name, 200)}" for name in unusual_first(types))])


def takes_text(card: ModelCard) -> str:
    """ "64 columns: pixel_0_0 number, pixel_0_1 number, ..."."""
    if not card.signature:
        return ""
    shown = ", ".join(f"{clean(column.name, 40)} {clean(column.kind, 10)}" for column in card.signature[:6])
    rest = ", ..." if len(card.signature) > 6 else ""
    return f"{counted(len(card.signature), 'column')}: {shown}{rest}"


def compared(one: ModelCard, other: ModelCard) -> list[tuple[str, str, str]]:
    """All metrics of two versions side by side, the better one marked with *, and what else differs."""
    if one == other:
        return []
    better = {**dict(other.better), **dict(one.better)}
    rows: list[tuple[str, str, str]] = []
    for name in dict.fromkeys([*one.metrics, *other.metrics]):
        left, right = one.metrics.get(name), other.metrics.get(name)
        first, second = _value(left), _value(right)
        if left is not None and right is not None and left != right and name in better:
            first_wins = (left > right) == (better[name] == "max")
            first, second = (first + " *", second) if first_wins else (first, second + " *")
        rows.append((clean(name, 24), first, second))
    rows += _differing(one.params, other.params)
    rows += _differing(one.data, other.data) + _differing(one.packages, other.packages)
    for label, left_text, right_text in (
        ("recipe", clean(one.recipe, 64), clean(other.recipe, 64)),
        ("size", bytes_text(one.size_bytes), bytes_text(other.size_bytes)),
        ("cost", _cost(one), _cost(other)),
        ("digest", one.digest[:_SHORT_DIGEST], other.digest[:_SHORT_DIGEST]),
    ):
        if left_text != right_text:
            rows.append((label, left_text, right_text))
    return rows


def model_json(model: RegisteredModel) -> dict[str, Any]:
    return asdict(model) | {"versions": [card_json(card) for card in model.versions]}


def card_json(card: ModelCard) -> dict[str, Any]:
    return card_table(card)


def _differing(one: Mapping[str, object], other: Mapping[str, object]) -> list[tuple[str, str, str]]:
    names = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    return [
        (clean(name, 24), clean(str(one.get(name, "-")), 200), clean(str(other.get(name, "-")), 200))
        for name in names
    ]


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _cost(card: ModelCard) -> str:
    parts = []
    if card.wall_s is not None:
        parts.append(f"{duration_text(card.wall_s)} by the clock")
    if card.cpu_s is not None:
        parts.append(f"{number_text(card.cpu_s)} s of CPU")
    if card.peak_mem_bytes is not None:
        parts.append(f"{bytes_text(card.peak_mem_bytes)} memory")
    return ", ".join(parts)
