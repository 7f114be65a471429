"""The one registry of what a person can do: id, keys, label, help and where it holds.

Key bindings, footer, palette, help and the settings' key map are all made from it. It must not act: each
action names a method `action_<call>` of the screen, widget or app that owns it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from textual.binding import Binding


class Where(StrEnum):
    """Who owns the method, and where the key works."""

    APP = "everywhere"
    DASHBOARD = "jobs"
    JOB = "job"
    LIST = "list"
    LOG = "log"
    FORM = "form"
    RECIPES = "recipes"
    PROCESSES = "processes"
    MODELS = "models"


@dataclass(frozen=True, slots=True)
class Action:
    """`keys` as Textual writes them, comma-separated; `footer` orders the footer (0: not there)."""

    id: str
    keys: str
    call: str
    label: str
    help: str
    where: tuple[Where, ...]
    footer: int = 0
    compact_label: str = ""
    palette: bool = True


_APP, _LIST, _LOG, _JOBS, _JOB = Where.APP, Where.LIST, Where.LOG, Where.DASHBOARD, Where.JOB
_FORM, _RECIPES, _PROCESSES = Where.FORM, Where.RECIPES, Where.PROCESSES
_MODELS = Where.MODELS

ACTIONS: tuple[Action, ...] = (
    Action("mode.jobs", "1", "mode('jobs')", "Jobs", "the dashboard", (_APP,)),
    Action("mode.recipes", "2", "mode('recipes')", "Recipes", "the catalogue of recipes", (_APP,)),
    Action("mode.models", "3", "mode('models')", "Models", "what runs have left for good", (_APP,)),
    Action("mode.processes", "4", "mode('processes')", "Processes", "what runs on the machine", (_APP,)),
    Action("job.new", "n", "new_job", "New", "queue a recipe or a command", (_APP,), 1),
    Action("job.open", "enter", "open_job", "Open", "all about the job; the jobs of a sweep", (_JOBS,), 2),
    Action("job.why", "w", "why", "Why", "show or hide why the job waits", (_JOBS,), 3),
    Action("trace.back", "comma", "scrub(-1)", "Earlier", "one step back in the job's use", (_JOB,)),
    Action("trace.on", "full_stop", "scrub(1)", "Later", "one step on in the job's use", (_JOB,)),
    Action("trace.far_back", "less_than_sign", "scrub(-10)", "Much earlier", "ten steps back", (_JOB,)),
    Action("trace.far_on", "greater_than_sign", "scrub(10)", "Much later", "ten steps on", (_JOB,)),
    Action("log.focus", "l", "focus_log", "Log", "go to the log", (_JOBS, _JOB), 4),
    Action("log.full", "L", "full_log", "Full log", "the log on the whole screen", (_JOBS, _JOB)),
    Action("mark.row", "space", "mark", "Mark", "mark the job; actions apply to all marked", (_JOBS,), 5),
    Action("mark.all", "asterisk", "mark_all", "Mark all", "mark all shown, or none", (_JOBS,)),
    Action("job.hold", "h", "hold", "Hold", "hold, pause, or let go on", (_JOBS, _JOB), 6),
    Action("job.cancel", "x", "cancel", "Cancel", "stop it: TERM, then KILL (asks)", (_JOBS, _JOB), 7),
    Action("job.retry", "r", "retry", "Retry", "queue it again", (_JOBS, _JOB), 8),
    Action("job.raise", "plus,equals_sign", "priority(5)", "Priority", "up by 5", (_JOBS, _JOB), 9),
    Action("job.lower", "minus", "priority(-5)", "Priority down", "priority down by 5", (_JOBS, _JOB)),
    Action("job.register", "m", "register", "Model", "keep the model that it left", (_JOBS, _JOB)),
    Action("mark.compare", "c", "compare", "Compare", "the marked jobs, or a sweep's runs", (_JOBS,)),
    Action("list.unfold", "right", "unfold(1)", "Unfold", "show the jobs of the sweep", (_JOBS,)),
    Action("list.fold", "left", "unfold(-1)", "Fold", "show the sweep as one row again", (_JOBS,)),
    Action("list.filter", "slash", "filter", "Filter", "show only what matches, as you type", (_JOBS,), 10),
    Action("list.sort", "s", "sort", "Sort", "choose the order of the list", (_JOBS,)),
    Action("copy", "y", "copy", "Copy", "copy the command, or the log's lines", (_JOBS, _JOB, _LOG)),
    Action("list.down", "j,down", "cursor(1)", "Down", "next line", (_LIST, _LOG), palette=False),
    Action("list.up", "k,up", "cursor(-1)", "Up", "previous line", (_LIST, _LOG), palette=False),
    Action("list.page_down", "pagedown", "page(1)", "Page down", "a page on", (_LIST, _LOG), palette=False),
    Action("list.page_up", "pageup", "page(-1)", "Page up", "a page back", (_LIST, _LOG), palette=False),
    Action("list.top", "g,home", "end(-1)", "Top", "first line", (_LIST, _LOG), palette=False),
    Action("list.bottom", "G,end", "end(1)", "Bottom", "last line", (_LIST, _LOG), palette=False),
    Action("log.follow", "f", "follow", "Follow", "follow the end of the log, or stay", (_LOG,)),
    Action("log.find", "slash", "find", "Find", "find a text in the log", (_LOG,)),
    Action("log.next", "right_square_bracket", "hit(1)", "Next hit", "next hit", (_LOG,)),
    Action("log.previous", "left_square_bracket", "hit(-1)", "Previous hit", "previous hit", (_LOG,)),
    Action("log.goto", "colon", "goto", "Line", "go to a line by its number", (_LOG,)),
    Action("log.left", "left", "sideways(-8)", "Left", "scroll long lines left", (_LOG,), palette=False),
    Action("log.right", "right", "sideways(8)", "Right", "scroll long lines right", (_LOG,), palette=False),
    Action("load.zoom_out", "z", "zoom(1)", "Zoom out", "load over a longer time, up to a day", (_JOBS,)),
    Action("load.zoom_in", "Z", "zoom(-1)", "Zoom in", "load over a shorter time", (_JOBS,)),
    Action("queue.pause", "P", "drain", "Pause queue", "start nothing new, or go on (asks)", (_APP,)),
    Action("engine.start", "S", "start_engine", "Start engine", "start the scheduler", (_APP,)),
    Action("back", "escape", "back", "Back", "leave this place", (_JOBS, _JOB), palette=False),
    Action("form.queue", "ctrl+s", "queue", "Queue", "queue it", (_FORM,), palette=False),
    Action(
        "form.learned",
        "ctrl+l",
        "learned",
        "Learned",
        "fill in what earlier runs used",
        (_FORM,),
        palette=False,
    ),
    Action("form.back", "escape", "close", "Back", "leave, nothing happens", (_FORM,), palette=False),
    Action("recipe.queue", "enter", "queue_recipe", "Queue it", "opens the form", (_RECIPES,), 2),
    Action("recipe.search", "slash", "search", "Search", "search the recipes", (_RECIPES,), 3),
    Action("model.promote", "p", "promote", "Promote", "let an alias mean it (asks)", (_MODELS,), 2),
    Action("model.rollback", "b", "roll_back", "Roll back", "the champion before (asks)", (_MODELS,), 3),
    Action("model.compare", "c", "compare", "Compare", "with the marked, or the champion", (_MODELS,), 4),
    Action("model.mark", "space", "mark_model", "Mark", "mark it, to compare with", (_MODELS,)),
    Action("model.export", "e", "export", "Export", "copy its files into a folder here", (_MODELS,), 6),
    Action("model.serve", "v", "serve", "Serve", "let it answer over HTTP (asks)", (_MODELS,), 7),
    Action("model.stop", "x", "stop_serving", "Stop", "stop what serves it (asks)", (_MODELS,), 8),
    Action("model.reload", "R", "reload", "Read again", "read the registry again", (_MODELS,)),
    Action("recipe.reload", "R", "reload", "Read again", "read the folders again", (_RECIPES,), 4),
    Action("process.unfold", "enter", "unfold", "Unfold", "show each process of the row", (_PROCESSES,), 2),
    Action("process.signal", "x", "signal", "Signal", "send a signal (asks)", (_PROCESSES,), 3),
    Action("process.filter", "slash", "filter", "Filter", "like user==ana vram>2G", (_PROCESSES,), 4),
    Action("process.sort", "s", "sort", "Sort", "by CPU, memory, GPU memory, disk", (_PROCESSES,), 5),
    Action("process.back", "escape", "back", "Back", "show all again", (_PROCESSES,), palette=False),
    Action("help", "question_mark", "help", "Keys", "this page", (_APP,), 90),
    Action("palette", "ctrl+p", "command_palette", "Commands", "all by name", (_APP,), 91, "Cmds", False),
    Action("theme", "", "change_theme", "Theme", "choose the colours", (_APP,)),
    Action("quit", "q,ctrl+q", "quit", "Quit", "leave; jobs keep running", (_APP,), 92),
)  # fmt: skip

BY_ID: Mapping[str, Action] = {action.id: action for action in ACTIONS}

_SHOWN = {
    "asterisk": "*", "plus": "+", "equals_sign": "=", "minus": "-", "slash": "/", "colon": ":",
    "question_mark": "?", "right_square_bracket": "]", "left_square_bracket": "[", "escape": "esc",
    "pagedown": "pgdn", "pageup": "pgup", "comma": ",", "full_stop": ".",
    "less_than_sign": "<", "greater_than_sign": ">",
}  # fmt: skip


def bindings(where: Where) -> list[Binding]:
    """The bindings of one place; their ids let a key map replace the keys."""
    return [
        Binding(action.keys, action.call, action.label, id=action.id, show=False)
        for action in ACTIONS
        if where in action.where and action.keys
    ]


def keys_of(action: Action, keymap: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that reach it, as a person reads them: "^p", "esc", "+"."""
    return tuple(_shown(key) for key in keymap.get(action.id, action.keys).split(",") if key.strip())


def first_key(action_id: str, keymap: Mapping[str, str]) -> str:
    """The key to name in a sentence."""
    keys = keys_of(BY_ID[action_id], keymap)
    return keys[0] if keys else "^p"


def _shown(key: str) -> str:
    key = key.strip()
    if key.startswith("ctrl+"):
        return "^" + key.removeprefix("ctrl+")
    return _SHOWN.get(key, key)


def footer_items(where: Where, keymap: Mapping[str, str]) -> list[tuple[str, Action]]:
    """What the footer of a place shows, in order: the key and its action."""
    found = [
        action for action in ACTIONS if action.footer and (where in action.where or _APP in action.where)
    ]
    items = []
    for action in sorted(found, key=lambda each: each.footer):
        keys = keys_of(action, keymap)
        if action.id == "job.raise":
            keys = (f"{first_key('job.raise', keymap)}/{first_key('job.lower', keymap)}",)
        if keys:
            items.append((keys[0], action))
    return items


def unknown_ids(keymap: Mapping[str, str]) -> list[str]:
    """Ids of a key map that name no action."""
    return sorted(set(keymap) - set(BY_ID))
