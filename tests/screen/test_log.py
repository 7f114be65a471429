"""The log pane: follows, stays, goes to lines and hits, and shows a progress bar as one line."""

from __future__ import annotations

from pathlib import Path

from cro_tui.widgets.log_view import LogView
from jobs.core.jobs import JobId
from tests.screen.conftest import Screen, opened
from tests.screen.fake import FakeSource


def write(folder: Path, number: int, text: str, mode: str = "a") -> None:
    with (folder / f"{number}.log").open(mode) as file:
        file.write(text)


def view(screen: Screen) -> LogView:
    return screen.app.screen.query_one(LogView)


async def test_it_follows_the_end_until_a_person_scrolls_up(source: FakeSource, tmp_path: Path) -> None:
    write(tmp_path, 41, "".join(f"line {number}\n" for number in range(1, 1001)))
    async with opened(source) as screen:
        await screen.shows("line 1000")
        await screen.shows("TAIL · 1,000 lines")
        write(tmp_path, 41, "line 1001\n")
        await screen.shows("line 1001")
        await screen.press("l", "k", "k", "k")
        await screen.shows("PAUSED")
        write(tmp_path, 41, "line 1002\n")
        await screen.shows("1,002 lines")
        assert "line 1002" not in screen.text()
        await screen.press("f")
        await screen.shows("line 1002")
        await screen.shows("TAIL")
        await screen.press("g")
        await screen.shows("line 1 ")


async def test_a_text_is_found_on_and_back(source: FakeSource, tmp_path: Path) -> None:
    write(
        tmp_path,
        41,
        "".join(f"line {number} {'WARN' if number % 100 == 0 else ''}\n" for number in range(1000)),
    )
    async with opened(source) as screen:
        await screen.shows("TAIL")
        await screen.press("l", "g", "slash")
        await screen.type("WARN")
        await screen.press("enter")
        await screen.shows("hit at 1 ")
        await screen.press("right_square_bracket")
        await screen.shows("hit at 101 ")
        await screen.shows(">line 100 WARN")
        await screen.press("right_square_bracket", "right_square_bracket")
        await screen.shows("hit at 301 ")
        await screen.press("left_square_bracket")
        await screen.shows("hit at 201 ")


async def test_what_is_not_there_is_said(source: FakeSource, tmp_path: Path) -> None:
    write(tmp_path, 41, "a\nb\n")
    async with opened(source) as screen:
        await screen.shows("2 lines")
        await screen.press("l", "slash")
        await screen.type("[red]")
        await screen.press("enter")
        await screen.shows("[red] is not in this log.")


async def test_it_goes_to_a_line(source: FakeSource, tmp_path: Path) -> None:
    write(tmp_path, 41, "".join(f"line {number}\n" for number in range(1, 5001)))
    async with opened(source) as screen:
        await screen.shows("5,000 lines")
        await screen.press("l", "colon")
        await screen.type("1,234")
        await screen.press("enter")
        await screen.shows(">line 1234")
        await screen.press("colon")
        await screen.type("soon")
        await screen.press("enter")
        await screen.shows("Type a line number")


async def test_a_progress_bar_that_rewrites_itself_is_one_line(source: FakeSource, tmp_path: Path) -> None:
    bars = "\r".join(
        f"\x1b[1m{step}/642\x1b[0m {'━' * (step // 64)} loss 0.{step}" for step in range(100, 431)
    )
    write(tmp_path, 41, f"Epoch 15/20\n{bars}")
    async with opened(source) as screen:
        await screen.shows("430/642 ━━━━━━ loss 0.430")
        assert "429/642" not in screen.text()
        assert view(screen).lines_shown() == ["Epoch 15/20", "430/642 ━━━━━━ loss 0.430"]
        await screen.shows("▓▓▓▓▓▓░░  73%")


async def test_a_log_that_was_replaced_by_a_shorter_one_is_read_afresh(
    source: FakeSource, tmp_path: Path
) -> None:
    write(tmp_path, 41, "old\n" * 500)
    async with opened(source) as screen:
        await screen.shows("500 lines")
        write(tmp_path, 41, "new\n", "w")
        await screen.shows("1 line ")
        assert view(screen).lines_shown() == ["new"]


async def test_a_log_that_was_removed_to_make_room_says_so(source: FakeSource) -> None:
    source.removed.add(JobId(41))
    async with opened(source) as screen:
        await screen.shows("Removed 3d ago to make room for newer ones")


async def test_the_full_log_and_back(source: FakeSource, tmp_path: Path) -> None:
    write(tmp_path, 41, "".join(f"line {number}\n" for number in range(1, 101)))
    async with opened(source) as screen:
        await screen.shows("line 100")
        await screen.press("L")
        await screen.shows("line 70 ")
        assert "STATE RECIPE" not in screen.text()
        await screen.press("escape", "escape")
        await screen.shows("STATE RECIPE")


async def test_a_jobs_own_screen_has_its_story_and_its_log(source: FakeSource, tmp_path: Path) -> None:
    write(tmp_path, 41, "hello\n")
    async with opened(source) as screen:
        await screen.press("enter")
        await screen.shows("3 cores, 8.0G memory, 1 GPU with 18.0G")
        await screen.shows("hello")
        await screen.shows("pid 7")
        await screen.press("x")
        await screen.shows("has run 00:41:12")
        await screen.press("escape", "escape")
        await screen.shows("STATE RECIPE")
