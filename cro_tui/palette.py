"""The command palette's list: what works right now where the person is, from the registry of actions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode

from cro_tui.actions import ACTIONS, Action, Where, keys_of
from cro_tui.screen_host import ScreenHost
from cro_tui.screens.base_screen import BaseScreen
from cro_tui.widgets.log_view import LogView


class CommandProvider(Provider):
    """Acts on the screen below the palette."""

    async def discover(self) -> Hits:
        for action, owner, name in self._there():
            yield DiscoveryHit(name, self._act(action, owner), help=action.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action, owner, name in self._there():
            score = max(matcher.match(name), matcher.match(action.help) * 0.9)
            if score > 0:
                yield Hit(score, matcher.highlight(name), self._act(action, owner), help=action.help)

    def _there(self) -> Iterator[tuple[Action, DOMNode, str]]:
        host = cast(ScreenHost, self.app)
        for action in ACTIONS:
            if not action.palette:
                continue
            owner = self._owner(action)
            if owner is not None:
                keys = " ".join(keys_of(action, host.settings.keys))
                yield action, owner, f"{action.label}  {keys}".rstrip()

    def _owner(self, action: Action) -> DOMNode | None:
        if Where.APP in action.where:
            return self.app
        if isinstance(self.screen, BaseScreen) and self.screen.WHERE in action.where:
            return self.screen
        if isinstance(self.focused, LogView) and Where.LOG in action.where:
            return self.focused
        return None

    def _act(self, action: Action, owner: DOMNode) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            await self.app.run_action(action.call, owner)

        return act
