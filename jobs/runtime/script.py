"""Turns a forked process into what `python script.py ...` would have been, runs the script, and ends.

Standard library only. The process has imported more than a fresh one, and that is to be the only
difference: streams, signals, variables, `__main__`, random state, limits of threads, the way it ends.
"""

from __future__ import annotations

import atexit
import builtins
import ctypes
import gc
import io
import os
import signal
import sys
import threading
import time
from importlib.machinery import SourceFileLoader
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any, NoReturn

    from jobs.runtime import preload

FOLDER = os.path.dirname(os.path.abspath(__file__))
BY_INTERPRETER: dict[int, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGPIPE: signal.SIG_IGN,
    signal.SIGXFSZ: signal.SIG_IGN,
}
NO_FILE = 2  # the interpreter's exit code when it cannot open its script
NOT_FLUSHED = 120  # and when what was printed could not be written


class Warm:
    """What a warm process hands to its children: its modules, their descriptors, their thread pools.

    `ours` names the modules that serve, which a job must not see.
    """

    def __init__(
        self,
        shelf: preload.PreloadedModules,
        ours: Collection[str],
        descriptors: Collection[int],
        pools: Any,
    ) -> None:
        self.shelf = shelf
        self.ours = frozenset(ours)
        self.descriptors = frozenset(descriptors)
        self.pools = pools  # a threadpoolctl.ThreadpoolController, or None


def become(
    argv: Sequence[str],
    environ: Mapping[str, str],
    log: int,
    warm: Warm,
    foreseen: Mapping[str, str],
) -> NoReturn:
    """Run `argv[1:]` as this interpreter's script, with output to `log`; the cwd is right already.

    `foreseen` has the variables as the script will have set them. To be called in a fresh fork, with all
    signals blocked.
    """
    code = 1
    try:
        _streams(log, warm.descriptors)
        _signals()
        _variables(environ)
        _interpreter(argv, warm.ours)
        warm.shelf.open()
        _fresh_state(warm)
        _threads(foreseen, warm.pools)
        code = _run(argv[1], warm)
    except BaseException as error:
        os.write(2, f"cro-tui: the warm start failed: {error!r}\n".encode("utf-8", "replace"))
    finally:
        os._exit(code)


# --- before the first line ------------------------------------------------------------------------


def _streams(log: int, kept: Collection[int]) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, number)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor not in kept:
            try:
                os.close(descriptor)
            except OSError:
                pass  # the one that listed them


def _signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        wanted = BY_INTERPRETER.get(number, signal.SIG_DFL)
        if number not in (signal.SIGKILL, signal.SIGSTOP) and signal.getsignal(number) != wanted:
            signal.signal(number, wanted)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _variables(environ: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()


def _interpreter(argv: Sequence[str], ours: Collection[str]) -> None:
    gc.enable()
    for name in ours:
        sys.modules.pop(name, None)
    sys.argv = list(argv[1:])
    sys.orig_argv = list(argv)
    sys.path[:] = [path for path in sys.path if path != FOLDER]
    if not sys.flags.safe_path:
        sys.path.insert(0, os.path.dirname(os.path.realpath(argv[1])))


def _fresh_state(warm: Warm) -> None:
    """What must not be the same in any two processes, or was noted when the module was imported."""
    if (numpy_random := warm.shelf.module("numpy.random")) is not None:
        numpy_random.seed()
    if (uuid := sys.modules.get("uuid")) is not None:
        uuid._node = uuid._last_timestamp = None  # type: ignore[attr-defined]
    if (tempfile := sys.modules.get("tempfile")) is not None:
        tempfile.tempdir = tempfile._name_sequence = None  # type: ignore[attr-defined]
    if (process := sys.modules.get("multiprocessing.process")) is not None:
        process.ORIGINAL_DIR = os.getcwd()  # type: ignore[attr-defined]
        process.current_process().authkey = os.urandom(32)


def _threads(environ: Mapping[str, str], pools: Any) -> None:
    """The pools were made with one thread each; from here on they may use what the job was granted."""
    for api, name in (("openmp", "OMP_NUM_THREADS"), ("blas", "OPENBLAS_NUM_THREADS")):
        wanted = environ.get(name, "")
        if pools is not None and wanted.isdigit() and int(wanted) > 1:
            pools.limit(limits=int(wanted), user_api=api)


# --- the script -----------------------------------------------------------------------------------


def _run(path: str, warm: Warm) -> int:
    known = warm.shelf.all_names() | sys.modules.keys()
    main = ModuleType("__main__")
    path = os.path.abspath(path)
    vars(main).update(
        __loader__=SourceFileLoader("__main__", path),
        __annotations__={},
        __builtins__=builtins,
        __file__=path,
        __cached__=None,
    )
    sys.modules["__main__"] = main
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        message = f"can't open file {path!r}: [Errno {error.errno}] {error.strerror}"
        print(f"{sys.executable}: {message}", file=sys.stderr)
        return NO_FILE
    code, interrupted = 0, False
    try:
        exec(compile(source, path, "exec", dont_inherit=True), vars(main))  # noqa: S102
    except SystemExit as leaving:
        code = _exit_code(leaving)
    except BaseException as error:
        code, interrupted = 1, isinstance(error, KeyboardInterrupt)
        _report(error)
    del source
    code = _leave(code, main, known)
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return code & 0xFF


def _exit_code(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    if isinstance(leaving.code, int):
        return leaving.code
    print(leaving.code, file=sys.stderr)
    return 1


def _report(error: BaseException) -> None:
    """As the interpreter does, without the frames that led here."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename == __file__:
        traceback = traceback.tb_next
    error.__traceback__ = traceback
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, traceback
    try:
        sys.excepthook(type(error), error, traceback)
    except BaseException:
        print("Error in sys.excepthook:", file=sys.stderr)
        sys.__excepthook__(*sys.exc_info())


def _leave(code: int, main: ModuleType, known: Collection[str]) -> int:
    """What an interpreter does before it ends, without taking down what it never used."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    _let_go(main, known)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            code = code or NOT_FLUSHED
    ctypes.CDLL(None).fflush(None)
    return code


def _let_go(main: ModuleType, known: Collection[str]) -> None:
    """Drop what the script's modules hold, so that its open files are written and its objects end."""
    sys.last_type = sys.last_value = sys.last_traceback = None
    modules = [main, *(module for name, module in sys.modules.items() if name not in known)]
    for module in modules:
        names = vars(module) if isinstance(module, ModuleType) and _is_the_jobs(module, main) else {}
        for name in [*filter(_private, names), *(name for name in names if not _private(name))]:
            if name != "__builtins__":
                names[name] = None
    del modules
    gc.collect()


def _is_the_jobs(module: ModuleType, main: ModuleType) -> bool:
    """The script, and the modules of its folder and of the packages in it, but for an environment there."""
    folder = os.path.dirname(os.path.realpath(str(main.__file__)))
    file = getattr(module, "__file__", None) or ""
    return module is main or (file.startswith(f"{folder}{os.sep}") and "site-packages" not in file)


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
