"""Tables: bad data gets one clear sentence, good data is cleaned, and a split can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recipes.library.kit import data
from recipes.library.kit.job import BadData

ROWS = 40


def table(**columns: object) -> pd.DataFrame:
    numbers = np.linspace(0, 1, ROWS)
    return pd.DataFrame({"a": numbers, "b": numbers**2, "target": [0, 1] * (ROWS // 2)} | columns)


def csv(**columns: object) -> Callable[[Path], object]:
    return lambda path: table(**columns).to_csv(path, index=False)


def text(content: str | bytes) -> Callable[[Path], object]:
    raw = content if isinstance(content, bytes) else content.encode()
    return lambda path: path.write_bytes(raw)


def dates(path: Path) -> None:
    table(a=pd.date_range("2024-01-01", periods=ROWS)).to_parquet(path)


BAD: dict[str, tuple[str, Callable[[Path], object], str, str, str]] = {
    "missing file": ("no.csv", lambda path: None, "target", "auto", "there is no file"),
    "a folder": ("dir.csv", lambda path: path.mkdir(), "target", "auto", "there is no file"),
    "empty file": ("x.csv", text(""), "target", "auto", "is empty"),
    "header only": ("x.csv", text("a,b,target\n"), "target", "auto", "has no rows"),
    "no parquet": ("x.parquet", text("PAR1 no"), "target", "auto", "cannot be read as Parquet"),
    "missing column": ("x.csv", csv(), "price", "auto", "has no column 'price'"),
    "hostile column": ("x.csv", text("\x1b[31ma,[b]\n1,2\n"), "target", "auto", "has no column 'target'"),
    "text among numbers": (
        *("x.csv", csv(a=["1"] * 39 + ["oops"]), "target", "auto"),
        "column 'a' has text where numbers belong: 'oops' in row 40",
    ),
    "words to regress": (
        "x.csv",
        csv(target=["x", "y"] * 20),
        "target",
        "regression",
        "text where numbers",
    ),
    "infinite": ("x.csv", csv(b=[np.inf] + [1.0] * 39), "target", "auto", "infinite or far too large"),
    "huge": ("x.csv", csv(b=[1e300] + [1.0] * 39), "target", "auto", "infinite or far too large"),
    "one class": ("x.csv", csv(target=1), "target", "auto", "is '1' in every row"),
    "no targets": ("x.csv", csv(target=np.nan), "target", "auto", "0 usable rows"),
    "few rows": ("x.csv", text("a,target\n" + "1,0\n2,1\n" * 3), "target", "auto", "6 usable rows"),
    "no features": ("x.csv", text("target\n" + "0\n1\n" * 20), "target", "auto", "0 features"),
    "all different": (
        *("x.csv", csv(target=[f"id{i}" for i in range(40)]), "target", "auto"),
        "too many for classes",
    ),
    "broken rows": ("x.csv", text("a,target\n1,2\n1,2,3,4\n"), "target", "auto", "cannot be read as CSV"),
    "not utf-8": ("x.csv", text(b"a,target\n\xff\xfe,1\n"), "target", "auto", "cannot be read as CSV"),
    "dates": ("x.parquet", dates, "target", "auto", "column 'a' holds dates"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_is_one_sentence(case: str, tmp_path: Path) -> None:
    file, make, target, task, message = BAD[case]
    make(tmp_path / file)
    with pytest.raises(BadData) as raised:
        data.load(str(tmp_path / file), target, task)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("targets", "task", "kinds"),
    [
        ([0, 1] * 20, "classification", "i"),
        ([0.0, 1.0] * 20, "classification", "i"),
        ([0.0, 1.5] * 20, "regression", "f"),
        (list(range(40)), "regression", "f"),
        (["u", "v"] * 20, "classification", "OT"),
        ([True, False] * 20, "classification", "OT"),
    ],
)
def test_the_task_follows_from_the_target(
    tmp_path: Path, targets: list[object], task: str, kinds: str
) -> None:
    table(target=targets).to_csv(tmp_path / "x.csv", index=False)
    features, found, inferred = data.load(str(tmp_path / "x.csv"), "target", "auto")
    assert inferred == task and found.dtype.kind in kinds
    assert list(features.columns) == ["a", "b"] and len(features) == len(found) == ROWS


def test_rows_without_a_target_are_left_out(tmp_path: Path) -> None:
    table(target=[None, 0, 1, 1] * 10).to_csv(tmp_path / "x.csv", index=False)
    features, targets, _ = data.load(str(tmp_path / "x.csv"), "target", "auto")
    assert len(features) == len(targets) == 30 and list(features.index) == list(range(30))


def test_features_are_floats_or_text() -> None:
    rough = pd.DataFrame(
        {
            "whole": [1, 2, 3, 4],
            "gaps": [1.5, None, 3.0, 4.0],
            "digits": ["1", "2", None, "4"],
            "words": ["u", None, "v", "u"],
            "yes": [True, False, True, None],
            "nothing": [None] * 4,
        }
    )
    clean = data.clean_features(rough)
    assert [clean[name].dtype.kind for name in ("whole", "gaps", "digits")] == ["f"] * 3
    assert clean["digits"].isna().tolist() == [False, False, True, False]
    assert clean["words"].tolist() == ["u", "", "v", "u"]
    assert clean["yes"].tolist() == ["True", "False", "True", ""]
    assert clean["nothing"].tolist() == [""] * 4


def test_the_bundled_texts_are_sentences_with_their_part() -> None:
    table = data.read_table("docstrings")
    assert list(table.columns) == ["text", "target"] and 1_500 < len(table) < 4_000
    assert set(table["target"]) == {"cluster", "datasets", "linear_model", "metrics"}
    assert table["text"].is_unique and table["text"].str.match(r"[A-Z].*\.$").all()
    assert data.is_prose(table["text"]) and not data.is_prose(table["target"])
    assert data.target_column("docstrings", "price") == "target" != data.target_column("x.csv", "price")


def test_the_longest_texts_are_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    features = pd.DataFrame({"n": [1.0, 2.0], "short": ["a", "b"], "long": ["a b c d", "e f g h"]})
    assert list(data.text_column(features, "auto").columns) == ["long"]
    assert capsys.readouterr().out == "texts: column 'long'; not used: 'n', 'short'\n"
    assert list(data.text_column(features, "short").columns) == ["short"]
    with pytest.raises(BadData, match=r"no column 'n' of texts: .* it has short, long"):
        data.text_column(features, "n")
    with pytest.raises(BadData, match="no column of texts, only numbers"):
        data.text_column(features[["n"]], "auto")


def test_a_split_is_the_same_for_the_same_seed_and_keeps_the_classes_shares() -> None:
    rows, classes = np.arange(100), np.array([0] * 80 + [1] * 20)
    parts = data.split(rows, classes, "classification", 0.25, 3)
    assert [len(part) for part in parts] == [75, 25, 75, 25]
    assert parts[3].sum() == 5 and set(parts[0]) | set(parts[1]) == set(rows)
    assert np.array_equal(parts[1], data.split(rows, classes, "classification", 0.25, 3)[1])
    assert not np.array_equal(parts[1], data.split(rows, classes, "classification", 0.25, 4)[1])
    with pytest.raises(BadData, match=r"100 rows cannot be split 0\.75 to 0\.25"):
        data.split(rows, np.array([0] * 99 + [1]), "classification", 0.25, 3)


def test_clusters_need_no_target(tmp_path: Path) -> None:
    csv()(tmp_path / "x.csv")
    features, targets = data.load_unlabelled(str(tmp_path / "x.csv"), "target")
    assert list(features.columns) == ["a", "b"] and targets is not None and set(targets) == {"0", "1"}
    features, targets = data.load_unlabelled(str(tmp_path / "x.csv"), "price")
    assert list(features.columns) == ["a", "b", "target"] and targets is None
    table().head(9).to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(BadData, match="9 rows and 2 features: too few to cluster"):
        data.load_unlabelled(str(tmp_path / "few.csv"), "target")
