"""The commands by name, loaded when one is called, and how every error reaches the person.

Answers go to standard output; errors are one sentence and what to do next on standard error. It holds no
command itself.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from jobs.core.ports import CroError, StateUnavailable

BAD_INPUT, UNREACHABLE, INTERRUPTED, BROKEN_PIPE = 2, 3, 130, 141

MODULES = {
    "submit": "submit",
    "ls": "ls",
    "show": "show",
    "logs": "logs",
    "why": "why",
    "cancel": "control",
    "hold": "control",
    "release": "control",
    "priority": "control",
    "retry": "retry",
    "wait": "wait",
    "status": "status",
    "metrics": "metrics",
    "top": "top",
    "recipes": "recipes",
    "recipe": "recipe",
    "environments": "environments",
    "models": "models",
    "model": "models",
    "serve": "serve",
    "sweep": "sweep",
    "compare": "compare",
    "mlflow": "mlflow",
    "secret": "secret",
    "simulate": "simulate",
    "daemon": "daemon",
    "doctor": "doctor",
    "screen": "screen",
}


class LazyCommands(click.Group):
    """Imports a command's module only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in MODULES:
            return None
        module = importlib.import_module(f"cro_tui.commands.{MODULES[cmd_name]}")
        found: click.Command = getattr(module, cmd_name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in MODULES and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], MODULES, n=1)
            hint = f"Did you mean {near[0]}?" if near else "cro-tui --help lists the commands."
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="cro-tui", message="cro-tui %(version)s")
def group() -> None:
    """Queue jobs that train models, start only what fits this machine, and see why the rest waits.

    Without a command it opens the screen. Ids are written 12 or #12. CRO_HOME moves all state into one
    folder. Exit codes: 0 done, 2 wrong input, 3 scheduler or its files cannot be reached.

    \b
      cro-tui submit sklearn_forest -p n_estimators=200
      cro-tui submit --cpus 2 --mem 4G -- python train.py --lr 0.1
      cro-tui ls
      cro-tui why 12
    """


def run(words: Sequence[str]) -> int:
    """Run a command line and return its exit code; never raises for what a person can cause."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        with group.make_context("cro-tui", list(words)) as context:
            code = group.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as left:
        return left.exit_code
    except CroError as error:
        return _fail(str(error), UNREACHABLE if isinstance(error, StateUnavailable) else BAD_INPUT)
    except click.ClickException as error:
        return _fail(_sentence(error), BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):  # click's own for a question that got no answer
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush is quiet
        return BROKEN_PIPE
    return code if isinstance(code, int) else 0


def _fail(sentence: str, code: int) -> int:
    from cro_tui.present import clean

    for line in sentence.splitlines():
        print(clean(line, 2000), file=sys.stderr)
    return code


def _sentence(error: click.ClickException) -> str:
    text = error.format_message()
    text = text if text.endswith((".", "?", "!")) else text + "."
    context = getattr(error, "ctx", None)
    if context is not None and context.info_name != "cro-tui" and "--help" not in text:
        text += f" See: {context.command_path} --help"
    return text
