"""Writes a version in forms that can be given to others, in a process of its own: no pickle among them.

`python -P -m jobs.programs.serving.export MODELS REFERENCE FOLDER`: scikit-learn as skops, which is loaded
back and has to answer the same; Keras as it is, for it is loaded in safe mode; ONNX or LiteRT beside it
where that was compiled and answers the same. `card.json` has what is needed to use them, and nothing that
is about this machine.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jobs.core.ports import BadInput, CroError
from jobs.core.tracking import ModelCard, card_table
from jobs.core.trust import SKOPS
from jobs.programs.serving import compiled
from jobs.programs.serving.compiling import compile_version
from jobs.programs.serving.engines import SklearnEngine
from jobs.programs.serving.loading import family, main_file, native
from jobs.registry.store import CARD, Registry


def export(registry: Registry, card: ModelCard, folder: Path) -> None:
    """Write it into the folder, which is there. Raises BadInput, OSError."""
    path = main_file(card)
    model = native(registry, card)
    told = card_table(card) | {"user": "", "source": "", "trusted": "", "job_id": 0, "attempt": 0}
    told["data"] = {name: _without_place(text) for name, text in card.data.items()}
    told["params"] = {
        name: Path(value).name if isinstance(value, str) and value.startswith("/") else value
        for name, value in card.params.items()
    }
    if isinstance(model, SklearnEngine):
        told |= {"flavor": "skops", "types": _skops(card, model, folder / f"model{SKOPS}")}
    else:
        for file in card.files:
            shutil.copyfile(registry.content(card) / file.path, folder / Path(file.path).name)
    suffix = family(path)
    made = compiled.outcome(registry, card, suffix) or compile_version(registry, card)
    if not made.why:
        compiled.engine(registry, card, made, 1)  # checked once more
        shutil.copyfile(compiled.folder(registry, card) / made.file, folder / made.file)
        (folder / "compiled.json").write_text(json.dumps(asdict(made), indent=1))
    told["files"] = sorted(each.name for each in folder.iterdir())
    (folder / CARD).write_text(json.dumps(told, indent=1))


def _skops(card: ModelCard, model: SklearnEngine, path: Path) -> list[str]:
    """Write the file, and answer the types that whoever loads it has to agree to. Raises BadInput."""
    from skops import io

    what = f"{card.name}:{card.version}"
    try:
        io.dump(model.fitted, path)
        types = list(io.get_untrusted_types(file=path))
        back = SklearnEngine(io.load(path, trusted=types), card.signature)
    except Exception as error:  # what skops does not know makes it raise anything
        said = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise BadInput(
            f"{what} cannot be written as skops: {said}", "Export it without --share: that is a pickle."
        ) from error
    if isinstance(card.sample, list) and card.signature:
        rows = compiled.mixed(card.sample, card.signature)
        if differs := compiled.difference(model.predict(rows), back.predict(rows)):
            raise BadInput(
                f"{what} answers differently once it is read back from skops: {differs}.",
                "Export it without --share: that is a pickle.",
            )
    return types


def _without_place(text: str) -> str:
    """A data file by its name and digest: where it lay is nobody's business."""
    place, between, rest = text.partition("  sha256 ")
    return Path(place).name + between + rest


def main(words: Sequence[str]) -> int:
    registry = Registry(Path(words[0]))
    try:
        export(registry, registry.card(words[1]), Path(words[2]))
    except (CroError, OSError, ValueError) as error:
        print(json.dumps([getattr(error, "title", str(error)), getattr(error, "detail", "")]))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
