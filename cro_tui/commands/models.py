"""models, model ...: what runs have left for good: register, import, show, compare, promote, export."""

from __future__ import annotations

import sys

import click

from cro_tui.commands.command_context import note as note_
from cro_tui.commands.command_context import now_s, open_client, print_json, print_pairs, print_table
from cro_tui.commands.options import job_id, json_option
from cro_tui.present import ago
from cro_tui.present.models import (
    aliases_text,
    asked_text,
    card_json,
    card_rows,
    compared,
    metric_text,
    model_json,
    reference_text,
)
from cro_tui.present.serving import serving_rows
from jobs.core.jobs import JobId
from jobs.core.tracking import CHAMPION


@click.command(short_help="List the registered models.")
@json_option
def models(as_json: bool) -> int:
    """List the registered models, the newest version of each first.

    \b
      cro-tui models
    """
    with open_client() as client:
        found = client.models.list()
    now = now_s()
    if as_json:
        print_json([model_json(each) for each in found])
        return 0
    rows = [
        (
            reference_text(card),
            aliases_text(each, card),
            metric_text(card),
            f"#{card.job_id}" if card.job_id else "a file",
            ago(card.registered_at, now),
        )
        for each in found
        for card in each.versions
    ]
    if rows:
        print_table(("MODEL", "ALIASES", "METRIC", "JOB", "REGISTERED"), rows, stretch=(1, 0))
    else:
        note_("No models. When a training job has succeeded: cro-tui model register ID NAME")
    return 0


@click.group(short_help="Register, import, show, promote, roll back, export a model.")
def model() -> None:
    """What a run left, kept for good under a name. NAME is name, name@alias or name:3."""


@model.command(short_help="Keep the model that a job left.")
@click.argument("id_", metavar="JOB", type=job_id)
@click.argument("name")
@click.option(
    "--file", metavar="PATH", help="Its file in the output folder (default: what the run reported)."
)
@click.option("--note", default="", help="A sentence for its card.")
@click.option("--licence", default="", help="Under which licence it, or its data, may be used.")
@click.option(
    "--as", "alias", default="", metavar="ALIAS", help="Promote it at once: champion, challenger."
)
@json_option
def register(  # noqa: PLR0917 - click calls it by keyword
    id_: JobId, name: str, file: str | None, note: str, licence: str, alias: str, as_json: bool
) -> int:
    """Keep the model that a job left, as the next version of NAME. Its files are copied.

    \b
      cro-tui model register 12 digits
      cro-tui model register 12 digits --as champion
    """
    with open_client() as client:
        card, is_new = client.models.register(id_, name, file=file, note=note, licence=licence)
        if alias:
            client.models.promote(reference_text(card), alias)
    if as_json:
        print_json(card_json(card) | {"is_new": is_new})
        return 0
    print(f"{reference_text(card)} {'is registered' if is_new else 'has these very files already'}.")
    if alias:
        print(f"{alias} means {reference_text(card)} now.")
    return 0


@model.command("import", short_help="Keep a model from elsewhere.")
@click.argument("file", metavar="FILE")
@click.argument("name")
@click.option("--trust", is_flag=True, help="Agree that it loads what is listed, without being asked.")
@click.option("--sample", metavar="ROWS", help="A JSON file: a list of some rows that it takes.")
@click.option("--note", default="", help="A sentence for its card.")
@click.option("--licence", default="", help="Under which licence it may be used.")
@click.option("--as", "alias", default="", metavar="ALIAS", help="Promote it at once.")
@json_option
def import_(  # noqa: PLR0917 - click calls it by keyword
    file: str,
    name: str,
    trust: bool,
    sample: str | None,
    note: str,
    licence: str,
    alias: str,
    as_json: bool,
) -> int:
    """Keep a file that no job here left, or a folder that `model export` made, as the next version of NAME.

    A pickle (.joblib, .pkl) can run code when it is loaded. All that it would load is listed, read without
    loading it, and you are asked; names that are not usual for such a model come first, marked with !. What
    you agreed to is kept with the file's digest, and nothing else is ever loaded from it. Files of other
    kinds (.skops without types of its own, .keras, .onnx, .tflite) need no question.

    \b
      cro-tui model import /media/stick/model.joblib digits
      cro-tui model import ./digits-3 digits --as challenger
      cro-tui model import model.skops digits --sample rows.json --trust
    """
    with open_client() as client:
        seen = client.models.inspect(file)
        if seen.needs_trust:
            note_(asked_text(seen.path, seen.types or ()))
            if not trust and sys.stdin.isatty():
                trust = click.confirm("Load these whenever it is used?", err=True)
                if not trust:
                    note_("Nothing was registered.")
                    return 1
        card, is_new = client.models.import_file(
            seen, name, trusted=trust, sample=sample, note=note, licence=licence
        )
        if alias:
            client.models.promote(reference_text(card), alias)
    if as_json:
        print_json(card_json(card) | {"is_new": is_new})
        return 0
    print(f"{reference_text(card)} {'is registered' if is_new else 'has these very files already'}.")
    if alias:
        print(f"{alias} means {reference_text(card)} now.")
    return 0


@model.command(short_help="Show the card of a version.")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> int:
    """Show the card of a version: where it comes from, its metrics, what it takes, what it cost.

    \b
      cro-tui model show digits@champion
      cro-tui model show digits:2
    """
    with open_client() as client:
        card, found = client.models.get(name)
        services = client.services.list()
    if as_json:
        print_json(card_json(card) | {"aliases": list(found.aliases_of(card.version))})
        return 0
    print_pairs([*card_rows(card, found, now_s()), *serving_rows(found, card, services)])
    others = [each for each in found.versions if each.version != card.version]
    if others:
        print()
        rows = [(reference_text(each), aliases_text(found, each), metric_text(each)) for each in others]
        print_table(("OTHERS", "ALIASES", "METRIC"), rows)
    return 0


@model.command(short_help="What differs between two versions.")
@click.argument("one")
@click.argument("other")
@json_option
def compare(one: str, other: str, as_json: bool) -> int:
    """Show what differs between two versions; * marks the better metric.

    \b
      cro-tui model compare digits@champion digits@challenger
    """
    with open_client() as client:
        cards = client.models.get(one)[0], client.models.get(other)[0]
    rows = compared(*cards)
    if as_json:
        print_json([{"what": what, "one": left, "other": right} for what, left, right in rows])
    elif rows:
        print_table(("WHAT", *map(reference_text, cards)), rows, stretch=(1, 2))
    else:
        print("Nothing differs.")
    return 0


@model.command(short_help="Let an alias mean a version.")
@click.argument("name")
@click.option("--as", "alias", default=CHAMPION, metavar="ALIAS", show_default=True, help="Which alias.")
def promote(name: str, alias: str) -> int:
    """Let an alias mean a version from now on.

    \b
      cro-tui model promote digits:3
      cro-tui model promote digits:3 --as challenger
    """
    with open_client() as client:
        card = client.models.promote(name, alias)
    print(f"{alias} means {reference_text(card)} now.")
    return 0


@model.command(short_help="Let an alias mean what it meant before.")
@click.argument("name")
@click.option("--as", "alias", default=CHAMPION, metavar="ALIAS", show_default=True, help="Which alias.")
def rollback(name: str, alias: str) -> int:
    """Let an alias mean what it meant before its last move.

    \b
      cro-tui model rollback digits
    """
    with open_client() as client:
        card = client.models.roll_back(name, alias)
    print(f"{alias} means {reference_text(card)} again.")
    return 0


@model.command(short_help="Copy a version's files out.")
@click.argument("name")
@click.option("--to", "folder", metavar="FOLDER", help="A new folder (default: NAME-VERSION, here).")
@click.option(
    "--share", is_flag=True, help="In forms for others: skops instead of a pickle, ONNX or LiteRT."
)
def export(name: str, folder: str | None, share: bool) -> int:
    """Copy a version's files and its card into a new folder, as they are or in forms for others.

    With --share nothing in the folder is a pickle: scikit-learn is written as skops (its card lists the
    types to agree to), Keras stays as it is, ONNX or LiteRT lies beside it where that answers the same.
    Users and folders of this machine are left out. `cro-tui model import FOLDER NAME` takes either.

    \b
      cro-tui model export digits@champion --to /tmp/digits
      cro-tui model export digits@champion --share --to ~/for-ana
    """
    with open_client() as client:
        card, _ = client.models.get(name)
        place = folder or f"{card.name}-{card.version}"
        if share:
            note_(f"Writing {reference_text(card)} for others; this takes some seconds.")
        path = client.models.share(name, place) if share else client.models.export(name, place)
    print(f"{reference_text(card)} is in {path}.")
    return 0
