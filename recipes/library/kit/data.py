"""Tables: reading and checking them, what to predict, and the rows held out for testing.

Whatever is wrong with a file is told in one sentence (BadData), before a model is built.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .job import BadData

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

TABLES = ("digits", "breast_cancer", "wine", "diabetes")
BUNDLED = (*TABLES, "docstrings")
DATA_HELP = f"{', '.join(BUNDLED)} (bundled with scikit-learn), or the path of a CSV or Parquet file"


def read_table(data: str) -> pandas.DataFrame:
    """The rows of a CSV or Parquet file, or of a bundled data set with what to predict in `target`."""
    path = Path(data)
    if data not in BUNDLED:
        if not path.is_file():
            raise BadData(f"there is no file {data}: --data is {DATA_HELP}")
        if path.stat().st_size == 0:
            raise BadData(f"{data} is empty")
    import pandas

    if data in TABLES:
        from sklearn import datasets

        return getattr(datasets, f"load_{data}")(as_frame=True).frame
    if data in BUNDLED:
        return docstrings()
    parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        table = pandas.read_parquet(path) if parquet else pandas.read_csv(path, low_memory=False)
    except Exception as error:
        raise BadData(f"{data} cannot be read as {'Parquet' if parquet else 'CSV'}: {error}") from error
    table.columns = [str(column) for column in table.columns]
    if table.empty or table.columns.has_duplicates:
        raise BadData(f"{data} has {'no rows' if table.empty else 'two columns of the same name'}")
    return table


def docstrings() -> pandas.DataFrame:
    """Sentences of scikit-learn's own documentation, and which part of it each is about."""
    from importlib.resources import files

    import pandas

    found: dict[str, str] = {}
    for part in ("cluster", "datasets", "linear_model", "metrics"):
        for file in sorted(files("sklearn").joinpath(part).iterdir(), key=lambda file: file.name):
            code = file.read_text(encoding="utf-8") if file.name.endswith(".py") else ""
            for text in re.findall(r'"""(.*?)"""', code, re.DOTALL):
                for piece in re.split(r"\n\s*\n|(?<=[.!?])\s+(?=[A-Z])", text):
                    sentence = " ".join(piece.split())
                    if re.match(r"[A-Z](?!.*---).*\.$", sentence) and sentence.count(" ") >= 7:
                        found.setdefault(sentence, part)
    return pandas.DataFrame(found.items(), columns=["text", "target"])


def is_prose(column: pandas.Series) -> bool:
    """Whether a cleaned column holds texts, nearly all different, rather than recurring words."""
    texts = column.dtype != "float64" and column.nunique() > len(column) / 2
    return bool(texts and column.str.count(" ").mean() >= 3)


def clean_features(table: pandas.DataFrame) -> pandas.DataFrame:
    """Numbers as float64 (missing: NaN), everything else as text (missing: "")."""
    import numpy
    import pandas

    columns = {}
    for name, column in table.items():
        if pandas.api.types.is_datetime64_any_dtype(column):
            raise BadData(f"column {name!r} holds dates: turn them into numbers first")
        if not pandas.api.types.is_numeric_dtype(column):
            given = column.dropna().astype(str)
            text = given[pandas.to_numeric(given, errors="coerce").isna()]
            if 0 < len(text) <= len(given) / 2:
                where = f"{text.iloc[0]!r} in row {table.index.get_loc(text.index[0]) + 1}"
                raise BadData(f"column {name!r} has text where numbers belong: {where}")
            if len(text) or given.empty:
                filled = column.astype(object).where(column.notna(), "")
                columns[name] = filled.astype(str).to_numpy(dtype=object)
                continue
            column = pandas.to_numeric(column.astype(object), errors="coerce")
        values = column.astype("float64")
        if not (values.isna() | (values.abs() < 1e30)).all():
            raise BadData(f"column {name!r} has infinite or far too large numbers")
        columns[name] = values.to_numpy(dtype="float64", na_value=numpy.nan)
    return pandas.DataFrame(columns)


def target_column(data: str, target: str) -> str:
    """The column to predict: `target` in a bundled data set, whatever the flag says."""
    return "target" if data in BUNDLED else target


def load(data: str, target: str, task: str) -> tuple[pandas.DataFrame, NDArray[Any], str]:
    """Features, targets, and the task: "classification" or "regression", inferred if it is "auto".

    Rows without a target are left out.
    """
    import pandas

    table, target = read_table(data), target_column(data, target)
    if target not in table.columns:
        names = ", ".join(map(str, table.columns[:12])) + (", ..." if len(table.columns) > 12 else "")
        raise BadData(f"{data} has no column {target!r} to predict: name one with --target; it has {names}")
    features, known = clean_features(table.drop(columns=target)), table[target].notna().to_numpy()
    if features.shape[1] == 0 or known.sum() < 10:
        found = f"{known.sum()} usable rows and {features.shape[1]} features"
        raise BadData(f"{data} has {found}: too few to learn from")
    features, targets = features[known].reset_index(drop=True), table[target][known].reset_index(drop=True)
    numeric = pandas.api.types.is_numeric_dtype(targets) and not pandas.api.types.is_bool_dtype(targets)
    whole = numeric and bool((targets.abs() < 2**53).all() and (targets % 1 == 0).all())
    if task == "auto":
        few = targets.nunique() <= 20
        task = "classification" if not numeric or (whole and few) else "regression"
    if targets.nunique() < 2:
        raise BadData(f"column {target!r} is '{targets.iloc[0]}' in every row: nothing to learn")
    if task == "regression":
        targets = clean_features(targets.to_frame())[target]
        if targets.dtype != "float64":
            raise BadData(f"column {target!r} has text where numbers belong: '{targets.iloc[0]}' in row 1")
        return features, targets.to_numpy(), task
    if targets.nunique() > max(20, len(targets) // 4):
        raise BadData(f"column {target!r} has {targets.nunique()} different values: too many for classes")
    return features, (targets.astype("int64") if whole else targets.astype(str)).to_numpy(), task


def load_unlabelled(data: str, target: str) -> tuple[pandas.DataFrame, NDArray[Any] | None]:
    """Features, and the targets as text where the table has them."""
    table, target = read_table(data), target_column(data, target)
    targets = table[target].astype(str).to_numpy() if target in table.columns else None
    features = clean_features(table.drop(columns=[target] if targets is not None else []))
    if features.shape[1] == 0 or len(features) < 10:
        raise BadData(
            f"{data} has {len(features)} rows and {features.shape[1]} features: too few to cluster"
        )
    return features, targets


def text_column(features: pandas.DataFrame, name: str) -> pandas.DataFrame:
    """The one column of texts ("auto": the longest), as a table; the other columns are left out."""
    texts = [each for each, column in features.items() if column.dtype != "float64"]
    if not texts:
        raise BadData("there is no column of texts, only numbers: the other recipes learn from those")
    if name == "auto":
        name = max(texts, key=lambda each: features[each].str.len().mean())
    if name not in texts:
        raise BadData(
            f"there is no column {name!r} of texts: name one with --text; it has {', '.join(texts[:12])}"
        )
    others = [repr(each) for each in features.columns if each != name]
    more = ", ..." if len(others) > 8 else ""
    print(f"texts: column {name!r}" + (f"; not used: {', '.join(others[:8])}{more}" if others else ""))
    return features[[name]]


def split(features: Any, targets: Any, task: str, share: float, seed: int) -> tuple[Any, Any, Any, Any]:
    """Training and test rows, then their targets; the same for the same seed, classes keep their shares."""
    from sklearn.model_selection import train_test_split

    stratify = targets if task == "classification" else None
    try:
        parts = train_test_split(features, targets, test_size=share, random_state=seed, stratify=stratify)
    except ValueError as error:
        raise BadData(
            f"{len(targets)} rows cannot be split {1 - share:.2f} to {share:.2f}: {error}"
        ) from error
    train, test, train_targets, test_targets = parts
    return train, test, train_targets, test_targets
