"""What tools and corners of terminals read: status lines, Prometheus text, a few lines in place."""

from __future__ import annotations

import json
import re
import signal

from tests.commands.conftest import CommandLine, Until

_LINE = re.compile(r'[a-z_]+(\{([a-z]+="([^"\\]|\\.)*",?)+\})? -?[0-9.e+]+')


def test_status_says_what_is_free_and_who_is_next(cro: CommandLine) -> None:
    cores = str(cro("status", "--json").json["capacity"]["cpus"])
    first = int(cro("submit", "--cpus", cores, "--quiet", "--", "sleep", "600").out)
    second = int(cro("submit", "--cpus", cores, "--quiet", "--", "true").out)
    table = cro("status", "--json").json
    while table["next"] is None or table["next"]["id"] != second:
        table = cro("status", "--json").json
    assert table["free"]["cpus"] == 0
    out = cro("status").out
    assert "Free for jobs  CPU 0 of" in out
    assert f"#{second} true needs" in out
    cro("cancel", str(first), str(second))


def test_watching_gives_a_line_of_json_each_time(cro: CommandLine, until: Until) -> None:
    process = cro.process("status", "--watch", "--every", "0.2s")
    assert process.stdout is not None
    moments = [json.loads(process.stdout.readline())["at"] for _ in range(3)]
    assert moments == sorted(set(moments))
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.communicate()


def test_metrics_are_prometheus_text_whatever_a_job_is_called(cro: CommandLine, until: Until) -> None:
    name = 'evil"\\\x1b[2J\nname'
    job_id = cro.submit("--name", name, "--", "sleep", "600")
    until(lambda: cro.state(job_id) == "running", "it to run")
    lines = cro("metrics").out.splitlines()
    assert all(
        line.startswith(("# HELP ", "# TYPE ")) or _LINE.fullmatch(line)
        for line in lines
        if "evil" not in line
    )
    (evil,) = {line for line in lines if "evil" in line and line.startswith("cro_job_memory")} or {""}
    assert evil == "" or '\\"' in evil
    assert not any("\x1b" in line for line in lines)
    assert 'cro_jobs{state="running"} 1' in lines
    assert "cro_scheduler_up 1" in lines
    cro("cancel", str(job_id))


def test_top_prints_once_where_there_is_no_terminal(cro: CommandLine, until: Until) -> None:
    job_id = cro.submit("--", "sleep", "600")
    until(lambda: cro.state(job_id) == "running", "it to run")
    out = cro("top").out
    assert "Free for jobs" in out
    assert re.search(rf"{job_id} RUN +sleep", out)
    assert "\x1b" not in out
    assert cro("top", "--every", "0").code == 2
    cro("cancel", str(job_id))
