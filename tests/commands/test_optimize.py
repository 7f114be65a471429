"""submit --optimize by the command line: waits for all trials, and tells the best."""

from __future__ import annotations

from tests.commands.conftest import SMALL, CommandLine
from tests.commands.test_sweep import RECIPE


def test_an_optimization_is_waited_for_listed_and_cancelled(cro: CommandLine) -> None:
    folder = cro.home / "recipes"
    folder.mkdir(exist_ok=True)
    (folder / "scores.py").write_text(RECIPE)
    words = ("submit", *SMALL, "scores", "-p", "depth=1,2,3", "--optimize", "loss", "--trials", "5")
    done = cro(*words, "--wait")
    assert done.code == 0, done.err
    assert "#1 chooses 5 trials" in done.out and "5 of 5 trials ended (DONE 5)" in done.out
    table = cro("sweep", "3", "--json").json
    assert (table["first"], table["optimized"], table["metric"], table["better"]) == (
        1,
        True,
        "loss",
        "min",
    )
    assert [job["id"] for job in table["jobs"]] and len(table["jobs"]) == 5
    assert "optimization #1" in cro("show", "1").out
    held = cro(*words, "--hold", "--quiet")
    assert cro("cancel", "--sweep", held.out.strip()).code == 0
    assert cro("wait", held.out.strip()).code == 130
    assert "--optimize" in cro("submit", "scores", "--trials", "3").err
    assert "needs a recipe" in cro("submit", "--optimize", "loss", "--", "true").err
    assert "hold" in cro(*words, "--hold", "--wait").err
