"""The Models place by keyboard: versions, cards, promote, roll back, two side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.core.jobs import Job, JobId, Queued
from jobs.core.tracking import CHAMPION, Column
from jobs.kinds.service import PROGRAM, Service
from tests.screen.conftest import NARROW, WIDE, opened
from tests.screen.fake import NOW, FakeSource, a_sweep, job


@pytest.fixture
def models(source: FakeSource, tmp_path: Path) -> FakeSource:
    return filled(source, tmp_path)


def filled(source: FakeSource, folder: Path) -> FakeSource:
    output = folder / "output"
    output.mkdir(exist_ok=True)
    for number, (name, depth, accuracy) in enumerate(
        [("digits_forest", 4, 0.942), ("digits_forest", 8, 0.9664), ("digits_forest", 12, 0.9778),
         ("wine_linear", 0, 0.9821)]
    ):  # fmt: skip
        (output / "model.joblib").write_bytes(bytes([number]) * 2_400_000)
        card = {
            "name": name, "flavor": "sklearn", "job_id": 36 + number,
            "registered_at": NOW - 7200 * (4 - number),
            "attempt": 1, "recipe": "sklearn_forest", "user": "ana",
            "params": {"data": "digits", "n_estimators": 200, "max_depth": depth, "seed": 0},
            "metrics": {"accuracy": accuracy, "log_loss": 1 - accuracy},
            "note": "for [bold]the[/] \x1b[31mlab",
            "better": (("accuracy", "max"), ("log_loss", "min")),
            "packages": {"scikit-learn": "1.7.0", "joblib": "1.5.0"},
            "signature": tuple(Column(f"pixel_{at}", "number") for at in range(64)),
            "cpu_s": 71.5, "peak_mem_bytes": 311 << 20, "wall_s": 42.0,
        }  # fmt: skip
        source.registry.register(output, ["model.joblib"], card)
    source.registry.promote("digits_forest:2", "champion")
    return source


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
async def test_versions_and_the_card_of_the_one_under_the_cursor(
    models: FakeSource, size: tuple[int, int]
) -> None:
    async with opened(models, size) as screen:
        await screen.press("3")
        await screen.shows("digits_forest:3")
        await screen.shows("accuracy 0.9778")
        await screen.shows("@champion")
        await screen.shows("4 versions of 2")
        await screen.press("j")
        await screen.shows("#37, attempt 1")
        assert "\x1b[31m" not in screen.text()
        await screen.shows("[bold]the[/]")


async def test_what_answers_and_how_quickly_stands_on_the_card(models: FakeSource) -> None:
    service = Service(
        "http://127.0.0.1:4711", "digits_forest", "digits_forest", 3, "onnx", requests=12_000, p50_ms=0.312,
        p99_ms=0.6, drift="inputs drift: pixel_3 PSI 0.41, KS 0.30 over 5000 rows",
    )  # fmt: skip
    models.served = ((job(55, "serve digits_forest", Queued(NOW)), service),)
    async with opened(models, NARROW) as screen:
        await screen.press("3")
        await screen.shows("by ONNX Runtime (#55)")
        await screen.shows("p50 0.312 ms")
        await screen.shows("pixel_3 PSI 0.41")
        await screen.press("j")
        await screen.shows("#37, attempt 1")
        assert "4711" not in screen.text()


async def test_promote_asks_and_roll_back_undoes_it(models: FakeSource) -> None:
    async with opened(models) as screen:
        await screen.press("3")
        await screen.shows("digits_forest:3")
        await screen.press("p")
        await screen.shows("champion means digits_forest:2 now.")
        await screen.press("escape")
        assert not models.called("models.promote")
        await screen.press("p", "p")
        await screen.shows("champion means digits_forest:3 now.")
        assert models.registry.card("digits_forest@champion").version == 3
        await screen.press("b", "b")
        await screen.shows("champion means digits_forest:2 again.")
        assert models.registry.card("digits_forest@champion").version == 2


async def test_a_version_beside_the_champion_or_the_marked_one(models: FakeSource) -> None:
    async with opened(models) as screen:
        await screen.press("3")
        await screen.shows("digits_forest:3")
        await screen.press("c")
        await screen.shows("digits_forest:3 and digits_forest:2")
        await screen.shows("0.9778 *")
        await screen.press("j", "j", "space", "k", "k")
        await screen.shows("digits_forest:3 and digits_forest:1")
        await screen.press("escape")
        await screen.shows("Registered")


async def test_an_empty_place_teaches(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("3")
        await screen.shows("cro-tui model register ID NAME")
        await screen.press("p", "b", "c", "space", "e")
        assert not source.called("models.promote") and not source.called("models.export")


async def test_export_says_where_it_is(models: FakeSource) -> None:
    async with opened(models) as screen:
        await screen.press("3")
        await screen.shows("digits_forest:3")
        await screen.press("e")
        await screen.shows("digits_forest:3 is in")
        assert (models.logs / "digits_forest-3" / "model.joblib").stat().st_size == 2_400_000


def served_job() -> Job:
    made = job(55, "serve digits_forest", Queued(NOW))
    return replace(made, spec=replace(made.spec, argv=("python", *PROGRAM, "digits_forest")))


async def test_what_serves_a_version_is_stopped_after_a_question(models: FakeSource) -> None:
    async with opened(models) as screen:
        await screen.press("3")
        await screen.shows("digits_forest:3")
        await screen.press("x")
        await screen.shows("digits_forest:3 is not served.")
        models.served = ((served_job(), None),)
        await screen.shows("soon: #55 WAIT")
        await screen.press("x")
        await screen.shows("Stop serving digits_forest:3?")
        assert models.called("jobs.cancel") == []
        await screen.press("x")
        await screen.shows("#55 is being stopped.")
        assert models.called("jobs.cancel") == [(JobId(55),)]


async def test_a_version_is_served_by_its_alias_or_as_it_is(models: FakeSource) -> None:
    async with opened(models) as screen:
        await screen.press("3")
        await screen.shows("digits_forest:3")
        await screen.press("v")
        await screen.shows("Serve digits_forest:3?")
        await screen.press("escape")
        assert not models.called("services.serve")
        await screen.press("v", "v")
        await screen.shows("#77 serves digits_forest:3 once it starts.")
        await screen.press("j", "v", "a")
        await screen.shows("#77 serves digits_forest@champion once it starts.")


async def test_the_model_of_a_job_or_of_a_sweeps_best_is_kept_under_a_name(models: FakeSource) -> None:
    group = a_sweep(models)
    async with opened(models, NARROW, wait_for="+ forest") as screen:
        await screen.press("m")
        await screen.shows(f"Keep the model of #{group.best_id}")
        await screen.shows("forest")
        await screen.press("/", "enter")
        await screen.shows("x a name has letters")
        await screen.press("backspace", *"forest", "tab", *"best one", "enter")
        await screen.shows("x an alias is a word")
        await screen.press("ctrl+u", *CHAMPION, "enter")
        await screen.shows("forest:1 is registered, and champion means it now.")
        assert models.called("models.register") == [(group.best_id, "forest")]
        assert models.called("models.promote") == [("forest:1", CHAMPION)]
        await screen.press("j", "m")
        await screen.shows("#41 tf_image_cnn has left no model: only what has succeeded leaves one.")
