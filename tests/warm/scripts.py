"""Little scripts that a warm start must run exactly as `python script.py` does: same output, same end."""

SCRIPTS: dict[str, str] = {}


def script(name: str, text: str) -> None:
    SCRIPTS[name] = text.lstrip()


script(
    "names",
    """
import os, sys
print(__name__, os.path.basename(__file__), __spec__, __package__, __cached__, type(__loader__).__name__)
print(sorted(globals()), __builtins__.__name__, __doc__, __annotations__)
print(sys.argv[1:], os.path.basename(sys.argv[0]), [os.path.basename(w) for w in sys.orig_argv])
print(os.path.samefile(sys.path[0], os.path.dirname(__file__)), sys.path[1:], os.path.basename(os.getcwd()))
print(sys.modules["__main__"].__dict__ is globals(), sys.executable, sys.flags, sys.warnoptions)
""",
)
script("exit code", "import sys; print('so long'); sys.exit(3)")
script("exit code over 255", "raise SystemExit(1027)")
script("exit with nothing", "import sys; sys.exit()")
script("exit with words", "import sys; sys.exit('the data is \\u00e4 gone')")
script("exit in a function", "def f():\n    raise SystemExit(9)\nf()")
script(
    "uncaught error",
    """
def inner(x):
    return 1 / x

def outer():
    try:
        inner(0)
    except ZeroDivisionError as error:
        raise ValueError("no such thing") from error

outer()
""",
)
script("error in a library", "import json\njson.loads('{')")
script("error group", "raise ExceptionGroup('two', [ValueError(1), TypeError('x')])")
script("own excepthook", "import sys\nsys.excepthook = lambda *a: print('mine', a[0].__name__)\n1 / 0")
script("syntax error", "x = 1\nif x\n    print(x)\n")
script("latin-1 source", "# -*- coding: latin-1 -*-\nprint('gr\u00fc\u00df', len('\u00fc'))\n")
script(
    "interrupted",
    "import signal, atexit\natexit.register(print, 'bye')\nsignal.raise_signal(signal.SIGINT)\n",
)
script(
    "interrupt that is caught",
    """
import signal
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("kept on")
""",
)
script("killed", "import os, signal\nprint('here')\nos.kill(os.getpid(), signal.SIGKILL)\n")
script("aborted", "import os\nprint('here')\nos.abort()\n")
script("terminated", "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\nprint('never')\n")
script(
    "signals",
    """
import signal
for number in sorted(signal.valid_signals()):
    if signal.getsignal(number) != signal.SIG_DFL:
        print(number, signal.getsignal(number))
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.set_wakeup_fd(-1))
""",
)
script(
    "signals of a child",
    """
import subprocess
lines = subprocess.run(["cat", "/proc/self/status"], text=True, capture_output=True).stdout.splitlines()
masks = dict(line.split() for line in lines if line.startswith("Sig") and "Q" not in line)
print({name: hex(int(mask, 16) & 0x7FFFFFFF) for name, mask in masks.items()})
""",
)
script(
    "streams",
    """
import sys, os
for stream in (sys.stdin, sys.stdout, sys.stderr):
    print(stream.name, stream.encoding, stream.errors, stream.isatty(), stream.mode, stream.line_buffering)
print(repr(sys.stdin.read()), sys.stdout is sys.__stdout__, sys.stdout.write_through)
sys.stdout.write("one "); sys.stderr.write("two "); os.write(1, b"three ")
sys.stdout.buffer.write(b"\\xff\\xfe\\n")
print("\\u20ac", file=sys.stderr)
""",
)
script(
    "descriptors",
    """
import os
for name in sorted(os.listdir("/proc/self/fd"), key=int):
    try:
        print(name, os.readlink("/proc/self/fd/" + name).rsplit("/", 1)[-1], os.get_inheritable(int(name)))
    except OSError:
        pass
""",
)
script(
    "environment",
    """
import os, subprocess, tempfile, locale, time
hidden = ("CRO_", "_=")
print([pair for pair in sorted(f"{k}={v}" for k, v in os.environ.items()) if not pair.startswith(hidden)])
lines = subprocess.run(["env"], text=True, capture_output=True).stdout.splitlines()
print([line for line in sorted(lines) if not line.startswith(hidden)])
mask = os.umask(0o22); os.umask(mask); print(oct(mask))
print(tempfile.gettempdir(), locale.setlocale(locale.LC_CTYPE), time.tzname, os.getsid(0) == os.getpid())
""",
)
script(
    "state of the interpreter",
    """
import gc, sys, threading, logging, warnings, random
print(gc.isenabled(), gc.get_threshold(), sys.getrecursionlimit(), sys.getswitchinterval())
print([t.name for t in threading.enumerate()], threading.main_thread() is threading.current_thread())
print(logging.root.handlers, logging.root.level, logging.getLoggerClass(), logging.lastResort)
print(*warnings.filters, sep="\\n")
print(sorted({n.partition(".")[0] for n in sys.modules} - sys.stdlib_module_names))
""",
)
script(
    "state after importing",
    """
import sys, os, warnings, logging
before = set(os.environ)
import sklearn.ensemble
print(*warnings.filters, sep="\\n")
print(logging.root.handlers, sorted(set(os.environ) - before))
found = {n.partition(".")[0] for n in sys.modules} - sys.stdlib_module_names
print(sorted(n for n in found if not n.startswith("_")))
print(sklearn.ensemble.__spec__.name, sklearn.__spec__.origin)
print(sklearn.__loader__ is sklearn.__spec__.loader)
import importlib.util
print(importlib.util.find_spec("sklearn.svm").name, importlib.util.find_spec("nothing_of_that_name"))
""",
)
script(
    "warnings",
    """
import warnings
warnings.warn("shown, for it is main", DeprecationWarning)
import sklearn.linear_model, sklearn.datasets
X, y = sklearn.datasets.load_iris(return_X_y=True)
sklearn.linear_model.LogisticRegression(max_iter=2).fit(X, y)
""",
)
script(
    "log of a library",
    "import logging\nimport sklearn\nlogging.warning('careful')\nlogging.info('never')\n",
)
script(
    "end of life",
    """
import atexit, threading, time, weakref, tempfile, sys
class Noisy:
    def __del__(self):
        print("deleted", flush=True)
kept = Noisy()
atexit.register(print, "first in, last out")
atexit.register(print, "last in, first out")
event = threading.Event()
threading.Thread(target=lambda: (event.wait(), print("a thread was waited for"))).start()
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
weakref.finalize(kept, print, "finalized")
folder = tempfile.TemporaryDirectory()
print("end of main")
event.set()
""",
)
script(
    "files left open",
    """
import os
left = open(os.environ["CRO_OUTPUT_DIR"] + "/left", "w")
left.write("everything" * 3)
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
    print("parent")
else:
    os._exit(0)
""",
)
script("error at exit", "import atexit\natexit.register(lambda: 1 / 0)\nprint('fine so far')\n")
script(
    "error in a thread",
    "import threading\nt = threading.Thread(target=lambda: 1 / 0, name='t')\nt.start()\nt.join()\n",
)
script(
    "own modules",
    """
import bundle, jobs, tree, supervisor, shelf, recipes
print(bundle.x, jobs.x, tree.x, supervisor.x, shelf.x, recipes.x)
""",
)
script(
    "fork of its own",
    """
import os, sys
pid = os.fork()
if pid == 0:
    print("child")
    sys.exit(7)
print("child's exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""",
)
script(
    "pickle",
    """
import pickle, subprocess, sys
class Point:
    def __init__(self, x): self.x = x
data = pickle.dumps([Point(3), Point])
print(b"__main__" in data, pickle.loads(data)[0].x, Point.__module__, Point.__qualname__)
from dataclasses import dataclass
import typing
@dataclass
class Row:
    a: "Point"
print(typing.get_type_hints(Row))
""",
)
for method in ("fork", "spawn", "forkserver"):
    script(
        f"multiprocessing by {method}",
        f"""
import multiprocessing, os, sys
class Square:
    def __call__(self, x): return x * x, __name__ in ("__main__", "__mp_main__")
if __name__ == "__main__":
    context = multiprocessing.get_context({method!r})
    with context.Pool(2) as pool:
        print(pool.map(Square(), range(4)))
    queue = context.Queue()
    process = context.Process(target=queue.put, args=(os.path.basename(sys.argv[0]),))
    process.start(); print(queue.get()); process.join(); print(process.exitcode)
""",
    )
script(
    "joblib",
    """
from joblib import Parallel, delayed
import sys, os
def work(x):
    import sklearn
    return x * 2, os.environ["CAPTURED"]
if __name__ == "__main__":
    print(Parallel(n_jobs=2)(delayed(work)(x) for x in range(4)))
    print(Parallel(n_jobs=2, backend="threading")(delayed(work)(x) for x in range(2)))
""",
)
script(
    "concurrent.futures",
    """
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        print(list(pool.map(abs, [-1, -2])))
    with ThreadPoolExecutor(2) as pool:
        print(list(pool.map(abs, [-1, -2])))
""",
)
script(
    "asyncio",
    """
import asyncio
async def main():
    await asyncio.sleep(0)
    print("ran")
asyncio.run(main())
""",
)
script(
    "pools of threads",
    """
import numpy, sklearn.ensemble, sklearn.datasets
from threadpoolctl import threadpool_info
print(sorted((i["user_api"], i["internal_api"], i["num_threads"]) for i in threadpool_info()))
X, y = sklearn.datasets.load_breast_cancer(return_X_y=True)
model = sklearn.ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(X, y)
print(model.score(X, y), float((numpy.eye(500) @ numpy.eye(500)).sum()))
""",
)
script(
    "training",
    """
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score
X, y = load_digits(return_X_y=True)
print(cross_val_score(RandomForestClassifier(10, random_state=0, n_jobs=2), X, y).round(4))
print(KMeans(5, random_state=0, n_init=1).fit(X).inertia_)
""",
)
script("pandas", "import pandas\nprint(pandas.DataFrame({'a': [1, 2]}).sum())\n")
script("faulthandler", "import faulthandler, os\nfaulthandler.enable()\nprint(faulthandler.is_enabled())\n")
script(
    "trace of the stack",
    """
import traceback
def f():
    raise KeyError("k")
try:
    f()
except KeyError:
    traceback.print_exc()
""",
)
