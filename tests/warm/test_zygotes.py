"""Warm processes that cannot be had, go away or may not be used: the job starts cold, and says why."""

from __future__ import annotations

import asyncio
import os
import signal
import site
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobs.core.world import WarmKey, WarmPlan
from jobs.executors import zygotes
from jobs.runtime import job_folder
from tests.warm.bench import Bench

SKLEARN = WarmKey("sklearn", sys.executable)
HELLO = "import sklearn\nprint('hello')\n"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    await bench.executor.close()


def environment(folder: Path, *, packages: bool) -> Path:
    """A recipe environment of its own, with this one's packages or with none."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (found,) = folder.glob("lib/python*/site-packages")
    if packages:
        (found / "all.pth").write_text("\n".join(site.getsitepackages()))
    return found


async def test_each_warm_job_draws_its_own_random_state(bench: Bench) -> None:
    bench.warm("sklearn")
    script = """
import multiprocessing, random, tempfile, uuid
import numpy
print(random.random()); print(numpy.random.rand()); print(numpy.random.default_rng().random())
print(uuid.uuid4()); print(tempfile.mktemp()); print(bytes(multiprocessing.current_process().authkey).hex())
"""
    first, second, third = await asyncio.gather(*(bench.run(script, "sklearn", raw=True) for _ in range(3)))
    for drawn in zip(*(ran.output.splitlines() for ran in (first, second, third)), strict=True):
        assert len(set(drawn)) == 3, drawn
    assert first.warm
    assert len(first.output.splitlines()) == 6


async def test_two_environments_have_a_warm_process_each(bench: Bench, tmp_path: Path) -> None:
    environment(tmp_path / "other", packages=True)
    other = str(tmp_path / "other" / "bin" / "python")
    script = "import sys, sklearn\nprint(sys.prefix)\n"
    bench.warm("sklearn")
    bench.warm("sklearn", other)
    here, there = await asyncio.gather(
        bench.run(script, "sklearn", raw=True), bench.run(script, "sklearn", raw=True, python=other)
    )
    assert (here.warm, here.output.strip()) == (True, sys.prefix)
    assert (there.warm, there.output.strip()) == (True, str(tmp_path / "other"))
    assert [process.key.python for process in bench.executor.kept_warm()] == sorted((sys.executable, other))


async def test_a_module_beside_the_script_that_hides_a_preloaded_one(bench: Bench) -> None:
    bench.warm("sklearn")
    ran = await bench.run(
        "import joblib\nprint(joblib.mine)\n", "sklearn", files={"joblib.py": "mine = 1\n"}
    )
    assert (ran.warm, ran.why_cold) == (
        False,
        "'joblib.py' lies beside it and would hide a module of that name",
    )
    assert ran.output == "1\n"
    assert (await bench.run(HELLO, "sklearn", files={"data.csv": "", "mine.py": ""})).warm


async def test_variables_that_are_read_once(bench: Bench) -> None:
    bench.warm("sklearn")
    ran = await bench.run(HELLO, "sklearn", extra_env={"PYTHONWARNINGS": "error"})
    assert ran.why_cold == "its PYTHONWARNINGS differs from the warm process's"
    ran = await bench.run("import os\nos.environ['SKLEARN_X'] = '1'\n" + HELLO, "sklearn")
    assert ran.why_cold == "its SKLEARN_X differs from the warm process's"
    ran = await bench.run("import os\nos.environ['OMP_WAIT_POLICY'] = str(len('x'))\n" + HELLO, "sklearn")
    assert ran.why_cold == "it sets OMP_WAIT_POLICY itself"
    ran = await bench.run("import os\nos.environ['MINE'] = str(len('x'))\n" + HELLO, "sklearn")
    assert (ran.warm, ran.output) == (True, "hello\n")


async def test_no_locale_is_named(bench: Bench) -> None:
    """The interpreter then sets LC_CTYPE itself, cold and warm."""
    environ = job_folder.read_json(str(bench.environment)) or {}
    named = {name: value for name, value in environ.items() if not name.startswith(("LC_", "LANG"))}
    job_folder.write_json(str(bench.environment), named)
    bench.warm("sklearn")
    script = "import os, sys\nprint(os.environ.get('LC_CTYPE'), sys.stdout.encoding)\n"
    cold, warm = await asyncio.gather(*(bench.run(script, stack) for stack in (None, "sklearn")))
    assert warm.warm, warm.why_cold
    assert warm.output == cold.output == "C.UTF-8 utf-8\n"


async def test_a_warm_process_that_is_killed_takes_no_job_with_it(bench: Bench) -> None:
    bench.warm("sklearn")
    go = bench.folder / "go"
    waits = f"import os, sys, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nsys.exit(5)\n"
    running = asyncio.create_task(bench.run(waits, "sklearn"))
    while not list(bench.folder.glob("jobs/*/*/1/pid.json")):  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    os.kill(bench.zygote, signal.SIGKILL)
    after = await bench.run(HELLO, "sklearn")
    assert (after.exit_code, after.warm, after.why_cold) == (0, False, "the warm process ended")
    go.touch()
    ended = await running
    assert (ended.exit_code, ended.warm) == (5, True)


async def test_an_environment_without_the_framework(tmp_path: Path) -> None:
    environment(tmp_path / "venv", packages=False)
    bench = Bench(tmp_path, str(tmp_path / "venv/bin/python"))
    bench.warm("sklearn")
    ran = await bench.run("print('needs nothing')", "sklearn")
    assert not ran.warm
    assert ran.why_cold.startswith("sklearn cannot be imported: ModuleNotFoundError")
    assert (ran.exit_code, ran.output) == (0, "needs nothing\n")
    bench.warm("sklearn")
    assert bench.executor.kept_warm() == (), "what failed is not tried again at once"
    await bench.executor.close()


async def test_an_upgraded_package_retires_the_warm_process(tmp_path: Path) -> None:
    packages = environment(tmp_path / "venv", packages=True)
    bench = Bench(tmp_path, str(tmp_path / "venv/bin/python"))
    bench.warm("sklearn")
    assert (await bench.run(HELLO, "sklearn")).warm
    (packages / "__pycache__").mkdir()
    assert (await bench.run(HELLO, "sklearn")).warm, "bytecode is no new package"
    (packages / "new-1.0.dist-info").mkdir()
    ran = await bench.run(HELLO, "sklearn")
    assert (ran.exit_code, ran.why_cold) == (0, "packages were installed or removed")
    assert bench.executor.kept_warm() == ()
    bench.warm("sklearn")
    assert (await bench.run(HELLO, "sklearn")).warm
    await bench.executor.close()


async def test_a_preloaded_module_that_starts_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = environment(tmp_path / "venv", packages=False)
    (packages / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    monkeypatch.setitem(zygotes.PRELOADED, "threaded", ("threaded",))
    bench = Bench(tmp_path, str(tmp_path / "venv/bin/python"))
    bench.warm("threaded")
    ran = await bench.run("print('well')", "threaded")
    assert (ran.output, ran.why_cold) == ("well\n", "the warm process has 2 threads")
    assert bench.executor.kept_warm() == ()
    await bench.executor.close()


async def test_a_warm_process_that_hangs_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\ncase "$1" in *zygote.py) exec sleep 600;; *) exec {sys.executable} "$@";; esac\n'
    )
    python.chmod(0o700)
    monkeypatch.setattr(zygotes, "START_WITHIN_S", 0.2)
    bench = Bench(tmp_path, str(python))
    bench.warm("sklearn")
    hanging = bench.zygote
    ran = await bench.run("print('well')", "sklearn")
    assert (ran.output, ran.why_cold) == ("well\n", "the warm process did not start in time")
    assert not Path(f"/proc/{hanging}").exists()
    await bench.executor.close()


async def test_it_leaves_when_it_is_told_and_when_the_scheduler_dies(bench: Bench) -> None:
    bench.warm("sklearn")
    assert (await bench.run(HELLO, "sklearn")).warm
    first = bench.zygote
    (kept,) = bench.executor.kept_warm()
    assert kept.mem_bytes is not None
    assert kept.mem_bytes > 10 * 2**20
    bench.executor.keep_warm(WarmPlan(stop=frozenset({SKLEARN})), {})
    assert not Path(f"/proc/{first}").exists()
    assert (await bench.run(HELLO, "sklearn")).why_cold == "no warm process is kept"
    bench.warm("sklearn")
    assert (await bench.run(HELLO, "sklearn")).warm
    left_to_itself = bench.executor._zygotes._all[SKLEARN].process
    left_to_itself.close(leave_within_s=20)
    assert left_to_itself._process.returncode == 0, "it leaves once nobody holds the other end"
