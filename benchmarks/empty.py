"""An app that shows one word: what Textual itself costs, as the floor of what ours can.

`uv run python -m benchmarks.empty` opens it; `benchmarks.screen` measures it beside the others.
"""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static


class Empty(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("empty")


if __name__ == "__main__":
    Empty().run()
