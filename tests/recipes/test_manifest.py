"""A header becomes a Recipe, or every one of its problems with the exact line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.manifest import Framework, Kind, Param, ParamType, Recipe, parse

PATH = Path("/somewhere/forest.py")

GOOD = """\
#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["scikit-learn>=1.5,<2"]
# [tool.cro]
# title = "Forest on iris"            # shown in the list
# framework = "sklearn"
# kind = "train"
# summary = "Trees that vote."
# resources = { cpus = 2, mem = "600M", gpus = 1, vram = "2G", time = "3m" }
# metrics = { accuracy = "max", loss = "min" }
# grace = "30s"
# repeatable = true
# [tool.cro.params]
# trees = { default = 100, min = 1, max = 5000 }
# depth = { default = 8, help = "tree depth limit" }
# test_share = { default = 0.25, min = 0.05, max = 0.5 }
# rate = { type = "float", default = 1 }
# shuffle = { default = true }
# scale = { default = "none", choices = ["none", "standard"] }
# data = { type = "path" }
# note = { default = "" }
# ///
print("never run")
"""


def problems(text: str) -> list[tuple[int, str]]:
    found = parse(text, PATH)
    assert isinstance(found, tuple), found
    return [(problem.line, problem.message) for problem in found]


def header(*lines: str) -> str:
    """A file with this `[tool.cro]` content; the first given line is line 4."""
    body = "".join(f"# {line}\n" if line else "#\n" for line in lines)
    return f'# /// script\n# [tool.cro]\n# title = "T"\n{body}# ///\n'


def test_a_whole_header() -> None:
    recipe = parse(GOOD, PATH)
    assert isinstance(recipe, Recipe)
    assert (recipe.name, recipe.title, recipe.path) == ("forest", "Forest on iris", PATH)
    assert (recipe.framework, recipe.kind) == (Framework.SKLEARN, Kind.TRAIN)
    assert recipe.description == "Trees that vote."
    assert recipe.dependencies == ("scikit-learn>=1.5,<2",)
    assert recipe.requires_python == ">=3.11"
    assert recipe.metrics == (("accuracy", "max"), ("loss", "min"))
    assert (recipe.grace_s, recipe.repeatable, recipe.warm) == (30.0, True, True)
    assert not recipe.checkpoint
    asked = parse(GOOD.replace("# repeatable", "# checkpoint = true\n# repeatable"), PATH)
    assert isinstance(asked, Recipe) and asked.checkpoint
    needs = recipe.needs
    assert (needs.cpus, needs.mem_bytes, needs.gpus) == (2.0, 600 * 1024**2, 1)
    assert (needs.gpu_mem_bytes, needs.time_limit_s) == (2 * 1024**3, 180.0)
    assert recipe.params == (
        Param("trees", ParamType.INT, 100, 1, 5000),
        Param("depth", ParamType.INT, 8, help="tree depth limit"),
        Param("test_share", ParamType.FLOAT, 0.25, 0.05, 0.5),
        Param("rate", ParamType.FLOAT, 1.0),
        Param("shuffle", ParamType.BOOL, True),
        Param("scale", ParamType.CHOICE, "none", choices=("none", "standard")),
        Param("data", ParamType.PATH),
        Param("note", ParamType.STR, ""),
    )
    assert [param.flag for param in recipe.params if param.required] == ["--data"]


def test_line_ends_of_other_systems_and_a_byte_order_mark_change_nothing() -> None:
    assert parse("\ufeff" + GOOD.replace("\n", "\r\n"), PATH) == parse(GOOD, PATH)
    broken = GOOD.replace("title", "titel").replace("\n", "\r\n")
    assert (6, 'Unknown key "titel". Did you mean "title"?') in problems(broken)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "print('hello')\n",
        '# /// script\n# dependencies = ["numpy"]\n# ///\n',
        "# /// script\n# this is = = no toml\n# ///\n",
        '# /// script\n# [tool.uv]\n# exclude-newer = "2024-01-01"\n# ///\n',
        "# /// script\n# dependencies = []\n",
    ],
)
def test_a_file_that_does_not_mean_to_be_a_recipe_is_none(text: str) -> None:
    assert parse(text, PATH) is None


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (['framwork = "sklearn"'], 4, 'Unknown key "framwork". Did you mean "framework"?'),
        (['framework = "torch"'], 4, 'framework must be one of sklearn, tensorflow, none, not "torch".'),
        (["kind = 3"], 4, 'kind must be one of preprocess, train, evaluate, other, not "3".'),
        (["", "resources = 5"], 5, "resources must be a table, not a whole number."),
        (["resources = { cpus = 0 }"], 4, "cpus must be more than zero."),
        (["[tool.cro.resources]", "cpus = 1", 'mem = "lots"'], 6, "'lots' is not an amount of memory"),
        (['resources = { vram = "1G" }'], 4, "ask for gpus = 1 or more"),
        (["resources = { gpus = 1.5 }"], 4, "gpus must be a whole number, 0 or more."),
        (["resources = { cpus = inf }"], 4, "cpus is out of range."),
        (["resources = { time = 1979-05-27 }"], 4, "time must be an amount"),
        (['metrics = { accuracy = "up" }'], 4, 'Metric "accuracy" must be "max" or "min", not "up".'),
        (["repeatable = 1"], 4, "repeatable must be true or false, not a whole number."),
        (['description = "a"', 'summary = "b"'], 5, "Give description or summary, not both"),
        (["params = 1"], 4, "params must be a table"),
        (["[tool.cro.params]", "", "a = 5"], 6, '"a" must be a table like { default = 100 }.'),
        (["[tool.cro.params]", "a = {}"], 5, '"a" needs a default, or a type'),
        (["[tool.cro.params]", '"a b" = { default = 1 }'], 5, '"a b" cannot be a flag'),
        (["[tool.cro.params]", "'-x' = { default = 1 }"], 5, '"-x" cannot be a flag'),
        (["[tool.cro.params]", "help = { default = 1 }"], 5, "--help is taken"),
        (["[tool.cro.params.a]", "default = 9", "max = 5"], 5, 'The default 9 of "a" is above max 5.'),
        (["[tool.cro.params.a]", "default = 0", "min = 1"], 5, 'The default 0 of "a" is below min 1.'),
        (["[tool.cro.params.a]", "default = 3", "min = 4", "max = 2"], 6, "min 4 above max 2"),
        (["[tool.cro.params]", "a.default = 1", "a.min = 0.5"], 6, "so min must be one too"),
        (["[tool.cro.params.a]", 'type = "int"', 'default = "x"'], 6, "must be a whole number, not a text"),
        (["[tool.cro.params.a]", 'type = "float"', "default = nan"], 6, "default is out of range"),
        (["[tool.cro.params.a]", 'type = "integer"'], 5, 'not "integer". Did you mean "int"?'),
        (["[tool.cro.params.a]", 'type = "choice"'], 4, 'needs choices = ["a", "b"]'),
        (["[tool.cro.params.a]", 'choices = ["x"]', 'default = "y"'], 6, "is none of its choices"),
        (["[tool.cro.params.a]", "choices = []"], 5, "choices is empty"),
        (["[tool.cro.params.a]", 'choices = ["x", "x"]'], 5, "the same text twice"),
        (["[tool.cro.params.a]", 'choices = ["-x"]'], 5, 'start with "-"'),
        (["[tool.cro.params.a]", "default = true", "max = 2"], 6, '"a" is bool: it cannot have max.'),
        (["[tool.cro.params]", "a.default = true", "no_a.default = 1"], 6, 'switches "a" off'),
        (
            ["[tool.cro.params]", "a = { default = 1, mim = 2 }"],
            5,
            'Unknown key "mim". Did you mean "min"?',
        ),
        (['description = "a\\u001b[31m"'], 4, "it has a control character"),
        (["grace = 0"], 4, "grace must be more than zero."),
    ],
)
def test_each_problem_has_its_line(lines: list[str], line: int, message: str) -> None:
    found = problems(header(*lines))
    assert [where for where, text in found if message in text] == [line], found


def test_all_problems_come_at_once_in_line_order() -> None:
    found = problems(
        header(
            "titel = 1",
            "resources = { cpus = -1, mem = true, tme = 2 }",
            "[tool.cro.params]",
            "a = { default = 9, max = 5 }",
            'b = { default = "x", min = 1 }',
        )
    )
    assert [line for line, _ in found] == [4, 5, 5, 5, 7, 8]


def test_keys_after_text_that_spans_lines_keep_their_lines() -> None:
    text = header(
        'description = """',
        "title = this is text",
        '[not.a.table] = "#"',
        '"""',
        "metrics = { 'a=b' = 3 }",
        "[tool.cro.params] # a comment = here",
        "a = { type = 'choice', choices = [",
        "  'x',",
        "] }",
        "'b' . default = 1",
        "b.max = 0",
    )
    assert [line for line, _ in problems(text)] == [8, 13]


def test_a_missing_title_is_told_at_the_table() -> None:
    assert problems("x = 1\n\n# /// script\n#\n# [tool.cro]\n# ///\n") == [
        (5, '[tool.cro] needs a title: title = "What it does".')
    ]


def test_toml_errors_are_told_at_the_line_of_the_file() -> None:
    assert problems("import os\n" + header("a = 1", "b = = 2")) == [(6, "Not valid TOML: Invalid value.")]
    ((line, message),) = problems(header('a = "unfinished'))
    assert line == 4 and message.startswith("Not valid TOML")
    ((line, message),) = problems(header("a = [", "1,"))
    assert 4 <= line <= 6 and message.startswith("Not valid TOML")


def test_a_block_without_an_end() -> None:
    assert problems('# /// script\n# [tool.cro]\n# title = "T"\nprint(1)\n') == [
        (1, "The script block has no end: close it with a line `# ///`.")
    ]


@pytest.mark.parametrize("line", ['#title = "T"', 'title = "T"', ""])
def test_a_line_that_leaves_the_block(line: str) -> None:
    text = f"# /// script\n# [tool.cro]\n{line}\n# kind = 'train'\n# ///\n"
    assert problems(text) == [(3, "Inside the script block each line is `#` or starts with `# `.")]


def test_two_blocks() -> None:
    assert problems(header() + "\n" + header()) == [
        (6, "A second script block; the first is on line 1. Keep one.")
    ]


def test_a_first_line_that_is_nearly_right() -> None:
    text = header().replace("# /// script", "#/// script")
    assert problems(text) == [(1, "Write the first line of the block exactly as `# /// script`.")]


def test_values_made_to_hurt_are_problems_not_crashes() -> None:
    for value in ("[" * 5_000, "9" * 5_000, "{a=" * 2_000, "1e999999", "99-99-9999"):
        assert all(line >= 1 for line, _ in problems(header(f"grace = {value}")))
    assert problems(header("a." * 30_000 + "b = 1")) == [
        (4, "The line has more than 300 dots: write it in several lines.")
    ]


PIECES = st.sampled_from(
    [
        *("# /// script\n", "# ///\n", "# [tool.cro]\n", '# title = "T"\n', "# [tool.cro.params]\n", "#\n"),
        *(
            "# a = { default = 1, min = 2 }\n",
            '# b = { choices = ["x"] }\n',
            "# c.default = 1\n",
            "# '''\n",
        ),
        *(
            '# """\n',
            "# resources = { mem = '1G' }\n",
            "# [[tool.cro.params]]\n",
            "# tool.cro = 1\n",
            "x\r",
        ),
        *('# dependencies = ["a"]\n', "# [tool]\n", "#x\n", "# [\n", "\n", "\r\n", "# a = nan\n", "\u2028"),
    ]
)


@given(st.lists(PIECES | st.text(max_size=20), max_size=25).map("".join) | st.text())
def test_any_text_is_a_recipe_or_none_or_problems_within_the_file(text: str) -> None:
    check_any(text)


@given(st.lists(PIECES | st.text(max_size=12).map(lambda text: f"# {text}\n"), max_size=20).map("".join))
def test_any_block_is_a_recipe_or_problems_within_the_file(inside: str) -> None:
    check_any(f"# /// script\n# [tool.cro]\n{inside}# ///\n")


def check_any(text: str) -> None:
    found = parse(text, PATH)
    if not isinstance(found, tuple):
        assert found is None or isinstance(found, Recipe)
        return
    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert found
    for problem in found:
        assert 1 <= problem.line <= lines
        assert "\n" not in problem.message and problem.message.endswith((".", "?"))
