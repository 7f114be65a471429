"""What a person typed becomes typed values or one sentence each, and typed values become flags."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.manifest import Param, ParamType, ParamValue, Recipe
from recipes.params import flags, validate

RECIPE = Recipe(
    "demo",
    Path("/r/demo.py"),
    "Demo",
    params=(
        Param("trees", ParamType.INT, 100, 1, 5000),
        Param("rate", ParamType.FLOAT, 0.1, 0.0, 1.0),
        Param("shuffle", ParamType.BOOL, True),
        Param("scale", ParamType.CHOICE, "none", choices=("none", "standard")),
        Param("data", ParamType.PATH, "digits", choices=("digits", "wine")),
        Param("extra", ParamType.PATH, ""),
        Param("out_name", ParamType.PATH, "result.csv", must_exist=False),
        Param("note", ParamType.STR, ""),
        Param("offset", ParamType.INT, 0),
    ),
)
DEFAULTS: dict[str, ParamValue] = {
    "trees": 100,
    "rate": 0.1,
    "shuffle": True,
    "scale": "none",
    "data": "digits",
    "extra": "",
    "out_name": "/home/me/result.csv",
    "note": "",
    "offset": 0,
}


def check(**values: ParamValue) -> tuple[dict[str, ParamValue], dict[str, str]]:
    there = {"/home/me/a.csv", "/abs/b.csv", "/home/wine", "/home/me/sub/a.csv"}
    return validate(RECIPE, values, cwd="/home/me", exists=there.__contains__, home="/home")


def test_defaults_fill_in() -> None:
    assert check() == (DEFAULTS, {})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("trees", "200", 200),
        ("trees", " 1_000 ", 1000),
        ("trees", 7.0, 7),
        ("offset", "-5", -5),
        ("rate", "1e-3", 0.001),
        ("rate", 1, 1.0),
        ("shuffle", "No", False),
        ("shuffle", "1", True),
        ("shuffle", False, False),
        ("scale", "standard", "standard"),
        ("data", "wine", "wine"),
        ("data", "a.csv", "/home/me/a.csv"),
        ("data", "./sub/a.csv", "/home/me/sub/a.csv"),
        ("data", "/abs/b.csv", "/abs/b.csv"),
        ("data", "~/wine", "/home/wine"),
        ("out_name", "new.csv", "/home/me/new.csv"),
        ("extra", "", ""),
        ("note", "-x [bold]; rm -rf", "-x [bold]; rm -rf"),
    ],
)
def test_what_was_typed_is_understood(name: str, value: ParamValue, expected: ParamValue) -> None:
    typed, problems = check(**{name: value})
    assert problems == {}
    assert typed == {**DEFAULTS, name: expected} and type(typed[name]) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("trees", "sixty", 'trees must be a whole number from 1 to 5000, not "sixty".'),
        ("trees", "0", 'trees must be a whole number from 1 to 5000, not "0".'),
        ("trees", "2.5", 'trees must be a whole number from 1 to 5000, not "2.5".'),
        ("trees", True, 'trees must be a whole number from 1 to 5000, not "True".'),
        ("trees", "", "trees is required: give a whole number from 1 to 5000."),
        ("offset", "9" * 25, "offset is too large: give a whole number."),
        ("rate", "nan", 'rate must be a number from 0.0 to 1.0, not "nan".'),
        ("rate", "inf", 'rate must be a number from 0.0 to 1.0, not "inf".'),
        ("shuffle", "maybe", 'shuffle must be true or false, not "maybe".'),
        ("scale", "max", 'scale must be one of none, standard, not "max".'),
        (
            "data",
            "b.csv",
            'there is no "/home/me/b.csv"; give the path of a file that exists, or one of digits',
        ),
        ("note", "a\0b", "note has a character that cannot be passed on"),
        ("tree", 1, 'demo has no parameter "tree". Did you mean "trees"?'),
        ("\x1b[31m", 1, 'demo has no parameter "?[31m". It has trees, rate,'),
    ],
)
def test_what_is_wrong_is_one_sentence(name: str, value: ParamValue, sentence: str) -> None:
    _, problems = check(**{name: value})
    assert list(problems) == [name] and sentence in problems[name]


def test_all_problems_come_at_once_and_the_rest_is_typed() -> None:
    typed, problems = check(trees="x", rate="y", scale="z", offset="4")
    assert set(problems) == {"trees", "rate", "scale"}
    assert typed["offset"] == 4 and "trees" not in typed


def test_a_parameter_without_default_is_required() -> None:
    recipe = Recipe("r", Path("r.py"), "R", params=(Param("model", ParamType.PATH),))
    found = validate(recipe, {}, cwd="/", exists=lambda _: True)
    assert found == ({}, {"model": "model is required: give a path."})


def test_flags_are_ordinary() -> None:
    typed, _ = check(trees="7", shuffle="no", offset="-3", note="--help", data="a.csv")
    assert flags(RECIPE, typed) == (
        *("--trees", "7", "--rate", "0.1", "--no-shuffle", "--scale", "none"),
        *("--data", "/home/me/a.csv", "--out-name", "/home/me/result.csv"),
        *("--note=--help", "--offset=-3"),
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    kinds = {ParamType.INT: int, ParamType.FLOAT: float}
    for param in RECIPE.params:
        if param.type is ParamType.BOOL:
            made.add_argument(param.flag, action=argparse.BooleanOptionalAction, default=param.default)
        else:
            made.add_argument(param.flag, type=kinds.get(param.type, str), default=param.default)
    return made


@given(
    trees=st.integers(1, 5000),
    rate=st.floats(0, 1),
    shuffle=st.booleans(),
    note=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    offset=st.integers(-(2**63) + 1, 2**63 - 1),
)
def test_argparse_reads_back_what_was_typed(
    trees: int, rate: float, shuffle: bool, note: str, offset: int
) -> None:
    given_text: dict[str, ParamValue] = {
        "trees": str(trees),
        "rate": repr(rate),
        "shuffle": str(shuffle),
        "note": note,
    }
    typed, problems = check(**given_text, offset=offset)
    assert problems == {}
    assert vars(parser().parse_args(flags(RECIPE, typed))) == typed


@given(
    st.dictionaries(
        st.sampled_from([*DEFAULTS, "other"]), st.text() | st.floats() | st.integers() | st.booleans()
    )
)
def test_any_values_are_typed_or_one_line(values: dict[str, ParamValue]) -> None:
    typed, problems = check(**values)
    assert typed.keys() | problems.keys() >= DEFAULTS.keys()
    assert not typed.keys() & problems.keys()
    assert all("\n" not in sentence and len(sentence) < 400 for sentence in problems.values())
