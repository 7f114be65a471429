"""What a pickle would load, told without loading it: each name that its loader would look up.

Follows the pickle's own instructions with inert stand-ins: nothing is imported, called or hashed. It knows
how joblib puts arrays between them. What cannot be followed to the end raises Unreadable: never half a
list. To be used in a process with limits (`looking.py`), for a file can be made to keep any reader busy.
Standard library only.
"""

from __future__ import annotations

import bz2
import io
import lzma
import pickle
import re
import zlib
from typing import IO, Any, ClassVar

_ARRAY = "joblib.numpy_pickle.NumpyArrayWrapper"
_DTYPE = "numpy.dtype"
_SIZED = re.compile(r"[<>=|]?([a-zA-Z?])([0-9]{0,9})")
_KINDS = frozenset("?bBhHiIlLqQefdgFDGSUVOMmaciu")
_OF_ONE_LETTER = {
    **dict.fromkeys("?bBcSaV", 1), **dict.fromkeys("hHe", 2), **dict.fromkeys("iIf", 4),
    **dict.fromkeys("lLqQdFMm", 8), **dict.fromkeys("gD", 16), "G": 32, "U": 4, "O": 8,
}  # fmt: skip
_PART_BYTES = 1 << 20
_MOST_NAMES = 10_000


class UnreadablePickle(Exception):
    """It cannot be told what the file would load, for this reason."""


def names_in(content: IO[bytes]) -> list[str]:
    """Every name that loading the file would look up, in order. Raises Unreadable."""
    found: set[str] = set()
    try:
        _Follower(_decompressed(content), found).load()
    except UnreadablePickle:
        raise
    except Exception as error:  # anything can be wrong with a stranger's file
        said = str(error) or type(error).__name__
        raise UnreadablePickle(f"it is no pickle that can be followed: {said[:200]}") from error
    return sorted(found)


class _Stand:
    """In the place of what a name means, or of what calling it would make."""

    __slots__ = ("args", "called", "name", "state")

    def __init__(self, name: str = "", called: object = None, args: object = ()) -> None:
        self.name, self.called, self.args = name, called, args
        self.state: object = None


_Reader: Any = pickle._Unpickler  # the one in Python: its instructions can be replaced one by one


class _Follower(_Reader):  # type: ignore[misc]
    dispatch: ClassVar[dict[int, Any]] = dict(_Reader.dispatch)

    def __init__(self, content: IO[bytes], found: set[str]) -> None:
        super().__init__(content)
        self._content, self._found = content, found

    def find_class(self, module: str, name: str) -> Any:
        self._found.add(f"{module}.{name}")
        if len(self._found) > _MOST_NAMES:
            raise UnreadablePickle(f"it looks up more than {_MOST_NAMES} names")
        return _Stand(f"{module}.{name}")

    def get_extension(self, code: int) -> None:
        raise UnreadablePickle("it uses numbers for names (copyreg extensions)")

    def _instantiate(self, klass: object, args: object) -> None:
        self.append(_Stand(called=klass, args=args))

    def load_newobj(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = _Stand(called=self.stack[-1], args=args)

    def load_newobj_ex(self) -> None:
        self.stack.pop()
        self.load_newobj()

    def load_build(self) -> None:
        state = self.stack.pop()
        inst = self.stack[-1]
        if not isinstance(inst, _Stand):
            return
        inst.state = state
        if getattr(inst.called, "name", "") == _ARRAY:
            if not isinstance(state, dict):
                raise UnreadablePickle("an array in it is not described as joblib describes it")
            self._skip(state)

    def _skip(self, state: dict[str, Any]) -> None:
        """Pass over the values of an array, which lie between the instructions."""
        size, has_objects = _item(state.get("dtype"))
        if has_objects:
            _Follower(self._content, self._found).load()
            return
        count = 1
        shape = state.get("shape", ())
        for length in shape if isinstance(shape, tuple) else (None,):
            if type(length) is not int or length < 0:
                raise UnreadablePickle("the shape of an array in it cannot be told")
            count *= length
        if state.get("numpy_array_alignment_bytes") is not None:
            self._content.read(self._content.read(1)[0])
        left = count * size
        while left:
            part = len(self._content.read(min(left, _PART_BYTES)))
            if not part:
                raise UnreadablePickle("an array in it is cut off")
            left -= part

    def _drop(self) -> None:
        self.pop_mark()

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _put(self.stack[-1], key, value)

    def _set_items(self) -> None:
        items = self.pop_mark()
        for at in range(0, len(items) - 1, 2):
            _put(self.stack[-1], items[at], items[at + 1])

    def _dict(self) -> None:
        items = self.pop_mark()
        made: dict[str, Any] = {}
        for at in range(0, len(items) - 1, 2):
            _put(made, items[at], items[at + 1])
        self.append(made)

    def _frozen(self) -> None:
        self.pop_mark()
        self.append(_Stand())

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex
    dispatch[pickle.REDUCE[0]] = load_newobj  # a function and its arguments, or a class and its own
    dispatch[pickle.APPEND[0]] = lambda self: self.stack.pop()
    dispatch[pickle.APPENDS[0]] = dispatch[pickle.ADDITEMS[0]] = _drop
    dispatch[pickle.SETITEM[0]] = _set_item
    dispatch[pickle.SETITEMS[0]] = _set_items
    dispatch[pickle.DICT[0]] = _dict
    dispatch[pickle.FROZENSET[0]] = _frozen


def _put(table: object, key: object, value: object) -> None:
    """Only what has a text as its key matters here, and hashing anything else can take for ever."""
    if type(table) is dict and type(key) is str:
        table[key] = value


def _item(dtype: object) -> tuple[int, bool]:
    """How many bytes a value of this type takes, and whether it is a Python object."""
    if not (isinstance(dtype, _Stand) and getattr(dtype.called, "name", "") == _DTYPE):
        raise UnreadablePickle("the type of an array in it cannot be told")
    args, state = dtype.args, dtype.state
    word = args[0] if isinstance(args, tuple) and args else None
    found = _SIZED.fullmatch(word) if isinstance(word, str) else None
    if found is None or found[1] not in _KINDS:
        raise UnreadablePickle("the type of an array in it cannot be told")
    letter, digits = found.groups()
    size = int(digits) * (4 if letter == "U" else 1) if digits else _OF_ONE_LETTER.get(letter, 0)
    has_objects = letter == "O"
    if isinstance(state, tuple) and len(state) >= 8:
        size = state[5] if type(state[5]) is int and state[5] >= 0 else size
        has_objects |= type(state[7]) is int and bool(state[7] & 1)
    if size <= 0 and not has_objects:
        raise UnreadablePickle("the type of an array in it cannot be told")
    return size, has_objects


class _Inflating(io.RawIOBase):
    """What joblib wrote with `compress=`: zlib's own format, which no module of Python opens as a file."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content, self._left = content, b""
        self._inflate = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self._inflate.eof:
            given = self._left or self._content.read(_PART_BYTES)
            made = self._inflate.decompress(given, len(into))
            self._left = self._inflate.unconsumed_tail
            if made:
                into[: len(made)] = made
                return len(made)
            if not given:
                raise UnreadablePickle("its compressed part is cut off")
        return 0


def _decompressed(content: IO[bytes]) -> IO[bytes]:
    """The pickle in the file, as joblib would find it by the first bytes."""
    head = content.read(6)
    content.seek(0)
    if head[:1] == b"\x78":
        return io.BufferedReader(_Inflating(content))
    if head[:2] == b"\x1f\x8b":
        import gzip

        return io.BufferedReader(gzip.GzipFile(fileobj=content))
    if head[:2] == b"BZ":
        return io.BufferedReader(bz2.BZ2File(content))
    if head[:2] == b"\x5d\x00" or head == b"\xfd7zXZ\x00":
        return io.BufferedReader(lzma.LZMAFile(content))
    if head[:4] == b"\x04\x22M\x18" or head[:2] == b"ZF":
        raise UnreadablePickle("it is compressed in a way that is not read here")
    return content
