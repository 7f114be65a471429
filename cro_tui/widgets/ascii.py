"""What is drawn with other signs (frames, bullets, blocks, scroll bars), in ASCII instead, cell for cell.

Letters are left as they are: a name or a log may be in any language.
"""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_FRAMES = dict.fromkeys(range(0x2500, 0x2580), "+")
_SIGNS = str.maketrans(
    _FRAMES
    | dict.fromkeys(map(ord, "─━┄┅┈┉╌╍═╴╶╸╺╼╾"), "-")
    | dict.fromkeys(map(ord, "│┃┆┇┊┋╎╏║╵╷╹╻╽╿"), "|")
    | dict.fromkeys(range(0x2580, 0x25A0), "#")  # blocks
    | dict.fromkeys(range(0x2581, 0x2588), " ")  # the ends of a scroll bar: less than a cell
    | dict.fromkeys(range(0x2801, 0x2900), ".")  # braille
    | {0x2800: " "}
    | str.maketrans("●○◆■□▪▫•·…‘’“”–—−×→←↑↓▶◀▲▼✓✔✗✘", "*oO#.#.*-.''\"\"---x><^v><^vvvxx")
)


class Ascii(LineFilter):
    """A filter of the app's lines; a row of ASCII passes as it is."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(segment.text.isascii() for segment in segments):
            return segments
        return [segment._replace(text=segment.text.translate(_SIGNS)) for segment in segments]


ASCII = Ascii()
