"""Typed settings from one TOML file.

A key that nobody reads would be a silent wish, so unknown keys and wrong types are refused with one
sentence that names the file. Reads only when asked to; never writes settings, never talks to the daemon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from jobs.core.jobs import GIB, MIB
from jobs.core.ports import BadInput
from jobs.core.rules import SchedulerSettings

_Section = TypeVar("_Section")
LOWEST_PRIORITY, HIGHEST_PRIORITY = 0, 100


@dataclass(frozen=True, slots=True)
class ScreenSettings:
    """`graph` is "braille" or "ascii"; `theme` is the name of a Textual theme, empty for the app's own.

    A new alert rings the terminal's `bell`, or asks the terminal to `notify`: "off", "osc9" or "osc777".
    """

    refresh_s: float = 1.0
    graph: str = "braille"
    theme: str = ""
    readonly: bool = False
    bell: bool = False
    notify: str = "off"


@dataclass(frozen=True, slots=True)
class RecipeSettings:
    """More folders to look for recipes in, besides ./recipes and the data folder's."""

    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """`idle_exit_s`: it leaves after so long with nothing queued, running or watched; 0 means never.

    `lost_after_s`: how long nothing may be known of an attempt before it counts as lost.
    """

    idle_exit_s: float = 600.0
    lost_after_s: float = 5.0


@dataclass(frozen=True, slots=True)
class DefaultSettings:
    """What a job gets when neither the person nor the recipe says; written `mem = "2G"`, `grace = 10`."""

    cpus: float = 1.0
    mem_bytes: int = GIB
    priority: int = 50
    grace_s: float = 10.0


@dataclass(frozen=True, slots=True)
class JobSettings:
    """How jobs run. `low_priority`: the person's own programs get CPU, disk and memory first.

    `log_max_bytes`, written `log_max`: of a longer output the middle is dropped; 0 keeps all of it.
    """

    low_priority: bool = True
    log_max_bytes: int = 256 * MIB


@dataclass(frozen=True, slots=True)
class KeepSettings:
    """How long, and how much in all, files of ended jobs are kept; 0 means without limit.

    `max_bytes` is written `max`. `check_s`: how often the scheduler looks.
    """

    days: float = 30.0
    max_bytes: int = 20 * GIB
    check_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """How much room the environments of recipes may take, written `max`; 0 means without limit."""

    max_bytes: int = 20 * GIB


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """`command` is run for each alert with three more words: raised or cleared, its kind, a sentence."""

    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """`mlflow`: finished runs and registered models are shown to MLflow, and recipes may call it."""

    mlflow: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a person can set; `keys` maps an action id to the keys that replace its own."""

    admission: SchedulerSettings = field(default_factory=SchedulerSettings)
    screen: ScreenSettings = field(default_factory=ScreenSettings)
    keys: Mapping[str, str] = field(default_factory=dict)
    recipes: RecipeSettings = field(default_factory=RecipeSettings)
    daemon: DaemonSettings = field(default_factory=DaemonSettings)
    defaults: DefaultSettings = field(default_factory=DefaultSettings)
    jobs: JobSettings = field(default_factory=JobSettings)
    keep: KeepSettings = field(default_factory=KeepSettings)
    environments: EnvironmentSettings = field(default_factory=EnvironmentSettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read the file; a missing one means the defaults. Raises BadInput naming file and key."""
        import tomllib

        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise BadInput(
                f"{path} cannot be read: {error}.", "Correct the file or move it away."
            ) from error
        return cls._of(table, path)

    def changed(self, changes: Sequence[str]) -> Settings:
        """These settings with some replaced, each written like `admission.evict=false`. Raises BadInput."""
        import tomllib

        settings = self
        for text in changes:
            section, dot, rest = text.partition(".")
            key, equals, value = rest.partition("=")
            if not dot or not equals or not key.strip():
                raise BadInput(f"{text[:60]!r} is no setting.", "Write it like admission.evict=false.")
            try:
                table = {section.strip(): {key.strip(): tomllib.loads(f"value = {value}")["value"]}}
            except (tomllib.TOMLDecodeError, KeyError):
                raise BadInput(
                    f"{value[:40]!r} is no value for {section}.{key}.", 'Write true, 300 or "2G".'
                ) from None
            named = Path("--set")
            checked = getattr(Settings._of(table, named), section.strip())
            kept = getattr(settings, section.strip())
            names = [f.name for f in fields(kept) if f.name == _ALIASES.get(key.strip(), key.strip())]
            if not names:
                raise BadInput(f"{section}.{key} cannot be changed here.")
            new = replace(kept, **{name: getattr(checked, name) for name in names})
            settings = replace(settings, **{section.strip(): new})
        return settings

    @classmethod
    def _of(cls, table: Mapping[str, Any], path: Path) -> Settings:
        _refuse_unknown(table, [f.name for f in fields(cls)], path, "section")
        return cls(
            admission=_section(SchedulerSettings, table, "admission", path),
            screen=_section(ScreenSettings, table, "screen", path),
            keys=_keys(table, path),
            recipes=_section(RecipeSettings, table, "recipes", path),
            daemon=_section(DaemonSettings, table, "daemon", path),
            defaults=_section(DefaultSettings, table, "defaults", path),
            jobs=_section(JobSettings, table, "jobs", path),
            keep=_section(KeepSettings, table, "keep", path),
            environments=_section(EnvironmentSettings, table, "environments", path),
            alerts=_section(AlertSettings, table, "alerts", path),
            tracking=_section(TrackingSettings, table, "tracking", path),
        )


# --- checks ----------------------------------------------------------------------------------------

_ALIASES = {"mem": "mem_bytes", "grace": "grace_s", "log_max": "log_max_bytes", "max": "max_bytes"}
_RENAMED = {"slice_s": "overdue_times", "slice_share": "overdue_times", "slice_ratio": "overdue_ratio"}
_EARLIER = {"stand_back": "low_priority"}  # names of keys that earlier versions had
_CHOICES = {"graph": ("braille", "ascii"), "notify": ("off", "osc9", "osc777")}
_NOT_ZERO = frozenset(
    {
        *("refresh_s", "cpus", "mem_bytes", "window", "max_sample_age_s", "lost_after_s", "check_s"),
        *("usage_half_life_s", "ageing_s"),
    }
)


def _refuse_unknown(table: Mapping[str, Any], known: list[str], path: Path, what: str) -> None:
    for name in table:
        if name not in known:
            from difflib import get_close_matches

            new = _RENAMED.get(name, name)
            near = [new] if new in known else get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(sorted(known))}."
            raise BadInput(f"{path}: there is no {what} {name!r}.", hint)


def _table(table: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    section = table.get(name, {})
    if not isinstance(section, dict):
        raise BadInput(f"{path}: {name} must be a section.", f"Write [{name}] on a line of its own.")
    return section


def _section(kind: type[_Section], table: Mapping[str, Any], name: str, path: Path) -> _Section:
    section = {_EARLIER.get(key, key): value for key, value in _table(table, name, path).items()}
    default = kind()
    known = {f.name: getattr(default, f.name) for f in fields(kind)}  # type: ignore[arg-type]
    aliases = {
        alias: real
        for alias, real in _ALIASES.items()
        if real in known and kind in (DefaultSettings, JobSettings, KeepSettings, EnvironmentSettings)
    }
    shown = [next((a for a, real in aliases.items() if real == k), k) for k in known]
    _refuse_unknown(section, shown, path, f"key in [{name}]")
    values = {
        aliases.get(key, key): _value(value, aliases.get(key, key), known, f"{path}: {key} in [{name}]")
        for key, value in section.items()
    }
    return kind(**values)


def _value(value: object, key: str, known: Mapping[str, object], where: str) -> object:
    default = known[key]
    if isinstance(default, tuple):
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadInput(f"{where} must be a list of texts.", 'For example ["~/recipes"].')
        return tuple(value)
    if isinstance(default, str):
        choices = _CHOICES.get(key)
        if not isinstance(value, str) or (choices and value not in choices):
            raise BadInput(f"{where} must be {'one of ' + ', '.join(choices) if choices else 'a text'}.")
        return value
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise BadInput(f"{where} must be true or false, not {value!r}.")
        return value
    if key.endswith("_bytes") and isinstance(value, str):
        from jobs.core.amounts import parse_mem

        try:
            value = parse_mem(value)
        except BadInput as error:
            raise BadInput(f"{where}: {error.title}") from None
    whole = isinstance(default, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise BadInput(f"{where} must be a {'whole number' if whole else 'number'}, not {value!r}.")
    number: int | float = value
    top = (
        HIGHEST_PRIORITY
        if key == "priority"
        else 1
        if key.endswith(("_fraction", "_tolerance"))
        else float("inf")
    )
    if not 0 <= number <= top or (number == 0 and key in _NOT_ZERO):
        low = "more than 0" if key in _NOT_ZERO else "0 or more"
        raise BadInput(
            f"{where} must be {low if top == float('inf') else f'from 0 to {top}'}, not {value}."
        )
    return number if whole else float(number)


def _keys(table: Mapping[str, Any], path: Path) -> Mapping[str, str]:
    """Both `"job.new" = "n"` and the bare `job.new = "n"`, which TOML reads as nested tables."""
    keys: dict[str, str] = {}
    left = [("", _table(table, "keys", path))]
    while left:
        prefix, section = left.pop()
        for name, value in section.items():
            if isinstance(value, dict):
                left.append((f"{prefix}{name}.", value))
            elif isinstance(value, str):
                keys[prefix + name] = value
            else:
                raise BadInput(
                    f"{path}: {prefix}{name} in [keys] must be a text.", 'For example "n" or "n,f2".'
                )
    return keys
