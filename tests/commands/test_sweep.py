"""Sweeps: a job for each combination, all or none, named by what differs."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from cro_tui.present.sweep import grid, name_of, values_of
from jobs.client import Client
from jobs.core.jobs import JobId
from jobs.core.ports import BadInput
from jobs.installation.home import Home
from jobs.installation.settings import Settings
from tests.commands.conftest import CommandLine, Until


def test_values_are_parted_by_commas_and_quotes_keep_them_together() -> None:
    assert values_of("50,100, 200") == ("50", "100", "200")
    assert values_of('"a,b",c') == ("a,b", "c")
    assert values_of("") == ("",)
    assert values_of("one") == ("one",)
    for wrong in ('"a', "1,,2", "1,"):
        with pytest.raises(BadInput):
            values_of(wrong)


def test_the_grid_has_every_combination_once() -> None:
    params = {"a": ("1", "2"), "b": ("x",), "c": ("3", "4")}
    points = grid(params)
    assert len(points) == 4
    assert points[0] == {"a": "1", "b": "x", "c": "3"}
    assert [name_of("r", params, point) for point in points] == [
        "r a=1 c=3",
        "r a=1 c=4",
        "r a=2 c=3",
        "r a=2 c=4",
    ]


def test_a_sweep_is_queued_at_once_with_each_point_in_its_name(cro: CommandLine) -> None:
    words = (
        "submit",
        "--hold",
        "sklearn_forest",
        "-p",
        "n_estimators=5,10",
        "-p",
        "max_depth=2,3",
        "-p",
        "data=wine",
    )
    assert cro(*words).out == "#1 to #4, 4 jobs, queued and held.\n"
    jobs = [cro("show", str(number), "--json").json for number in (1, 4)]
    assert [job["name"] for job in jobs] == [
        "sklearn_forest n_estimators=5 max_depth=2",
        "sklearn_forest n_estimators=10 max_depth=3",
    ]
    assert [job["params"]["data"] for job in jobs] == ["wine", "wine"]
    assert cro(*words, "--quiet").out.split() == ["5", "6", "7", "8"]
    assert [job["id"] for job in cro(*words, "--json").json] == [9, 10, 11, 12]


def test_one_bad_point_queues_nothing(cro: CommandLine) -> None:
    done = cro("submit", "sklearn_forest", "-p", "n_estimators=5,none")
    assert done.code == 2
    assert "Job 2 of 2" in done.err
    assert cro("ls", "--json").json == []


def test_a_very_large_sweep_is_asked_for(cro: CommandLine) -> None:
    many = ",".join(map(str, range(1, 1002)))
    assert "--yes" in cro("submit", "--hold", "sklearn_forest", "-p", f"n_estimators={many}").err
    done = cro("submit", "--hold", "--yes", "sklearn_forest", "-p", f"n_estimators={many}")
    assert "1001 jobs" in done.out


def test_a_sweep_cannot_be_followed(cro: CommandLine) -> None:
    assert "use --wait" in cro("submit", "--follow", "sklearn_forest", "-p", "n_estimators=5,6").err


RECIPE = """\
# /// script
# requires-python = ">=3.11"
# [tool.cro]
# title = "Scores"
# metrics = { loss = "min" }
# [tool.cro.params]
# depth = { default = 8 }
# kind = { default = "a" }
# ///
import json, os
params = json.loads(os.environ["CRO_PARAMS"])
if params["depth"] == 4:
    raise SystemExit(3)
with open(os.environ["CRO_EVENTS"], "a") as file:
    file.write(json.dumps({"loss": abs(params["depth"] - 3)}) + "\\n")
"""


def test_a_sweep_knows_its_best_and_is_cancelled_whole(cro: CommandLine, until: Until) -> None:
    folder = cro.home / "recipes"
    folder.mkdir(exist_ok=True)
    (folder / "scores.py").write_text(RECIPE)
    small = ("--cpus", "0.1", "--mem", "64M")
    assert cro("submit", *small, "scores", "-p", "depth=1,3,4").code == 0
    until(lambda: "3 of 3 jobs ended" in cro("sweep", "2").out, "the end of the sweep")
    table = cro("sweep", "1", "--json").json
    assert (table["metric"], table["better"], table["varying"]) == ("loss", "min", ["depth"])
    assert [job["params"]["depth"] for job in table["jobs"]] == [3, 1, 4]
    assert "best #2 loss 0, depth=3" in cro("show", "3").out
    folded = cro("ls").out
    assert "+ scores" in folded and "2 of 3 done, best loss 0, 1 failed" in folded
    assert "scores depth=1" not in folded and "scores depth=1" in cro("ls", "--unfold").out
    assert len(cro("ls", "--json").json) == 3
    assert cro("submit", *small, "--hold", "scores", "-p", "depth=1,3", "-p", 'kind="a,b",c').code == 0
    assert cro("show", "5", "--json").json["group"] == {"first": 4, "size": 4}
    assert cro("priority", "--sweep", "6", "60").out.startswith("Priority 60 for 4 jobs of the sweep.")
    assert cro("priority", "--sweep", "5", "-5").code == 0
    until(lambda: cro("show", "7", "--json").json["priority"] == 55, "both priorities")
    assert cro("release", "--sweep", "6").out.startswith("Releasing 4 jobs of the sweep.")
    assert cro("cancel", "--sweep", "6").code == 0
    until(lambda: all(cro.state(job_id) == "cancelled" for job_id in (4, 5, 6, 7)), "their cancels")
    assert cro("retry", "--sweep", "3").out.startswith("#8 scores depth=4 queued, a retry of #3.")
    assert "No job of the sweep" in cro("retry", "--sweep", "3").out
    until(lambda: cro.state(8) == "failed", "its failure again")
    assert "2 of 3 done, best loss 0, 1 failed" in cro("ls").out, "the retry has taken the place"
    with closing(sqlite3.connect(cro.home / "cro.db")) as store, store:
        store.execute("UPDATE groups SET judged_by = '[]'")  # as of one that was brought back
    home = Home.find({"CRO_HOME": str(cro.home)})
    with closing(Client(home, Settings.load(home.settings_file))) as client:
        assert client.groups.runs(JobId(1)).better == {"loss": "min"}, "the recipe says it"
    alone = cro("sweep", "99")
    assert alone.code == 2 and "no job 99" in alone.err


def test_a_job_alone_belongs_to_no_sweep(cro: CommandLine) -> None:
    job_id = cro.submit("--hold", "--", "true")
    answer = cro("sweep", str(job_id))
    assert answer.code == 2 and "belongs to no sweep" in answer.err
    assert cro("show", str(job_id), "--json").json["group"] is None
