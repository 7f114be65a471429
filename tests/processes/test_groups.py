"""Processes become rows: jobs, containers, sessions; sums count once; what was not read stays unknown."""

from __future__ import annotations

import pytest

from cro_tui.present.process_filter import process_filter
from jobs.core.jobs import GIB, JobId
from jobs.machine.process_groups import GroupKind, Process, ProcessGroup, groups, ordered

SUPERVISOR, TRAIN, WORKER, SHELL, EDITOR = 50, 51, 52, 70, 71


def machine() -> list[Process]:
    return [
        Process(1, 1, 0, 1, "init", "root"),
        Process(2, 1, 0, 0, "kthreadd", "root"),
        Process(3, 1, 2, 0, "kworker", "root"),
        Process(40, 5, 1, 40, "daemon", "ann"),
        Process(41, 6, 40, 40, "launcher", "ann"),
        Process(SUPERVISOR, 7, 41, 50, "supervisor", "ann", 100.0, 0.0, 1),
        Process(TRAIN, 9, SUPERVISOR, 51, "python", "ann", 200.0, 1.5, 2 * GIB, 3 * GIB),
        Process(WORKER, 10, TRAIN, 51, "python", "ann", 201.0, None, GIB),
        Process(SHELL, 8, 1, SHELL, "bash", "bo", 50.0, 0.0, 10, command="bash"),
        Process(EDITOR, 9, SHELL, SHELL, "vim", "bo", 60.0, 0.1, 20),
        Process(80, 9, 1, 80, "nginx", "root", 60.0, 0.1, 20, container="0123456789ab"),
        Process(99, 0, gpu_mem_bytes=GIB, seen=False),
    ]


def rows() -> dict[str, ProcessGroup]:
    found = groups(machine(), {SUPERVISOR: (JobId(12), "forest")}, [40])
    return {group.key: group for group in found}


def test_every_process_is_in_one_row_of_its_kind() -> None:
    found = rows()
    assert sorted(p.pid for group in found.values() for p in group.processes) == sorted(
        p.pid for p in machine()
    )
    assert {key: len(group.processes) for key, group in found.items()} == {
        "session 1": 1,
        "kernel threads": 2,
        "cro-tui scheduler": 2,
        "job 50": 3,
        f"session {SHELL}": 2,
        "container 0123456789ab": 1,
        "unseen 99": 1,
    }


def test_a_job_has_its_name_its_sums_and_its_own_age() -> None:
    job = rows()["job 50"]
    assert (job.job_id, job.title, job.ours, job.user) == (12, "forest", True, "ann")
    assert job.cpus == 1.5
    assert job.mem_bytes == 3 * GIB + 1
    assert job.gpu_mem_bytes == 3 * GIB
    assert job.started_at == 200.0, "its supervisor may have waited for it for hours"
    assert job.io_per_s is None, "what nobody has read is not 0"


def test_what_only_the_driver_names_explains_itself() -> None:
    group = rows()["unseen 99"]
    assert not group.ours
    assert "fuser -v" in group.title


def test_a_loop_of_parents_ends() -> None:
    loop = [Process(5, 1, 6, 5, "a"), Process(6, 1, 5, 5, "b")]
    assert [group.kind for group in groups(loop, {})] == [GroupKind.SESSION]


def test_the_largest_is_first_and_the_unknown_last() -> None:
    keys = [group.key for group in ordered(rows().values(), lambda group: group.cpus)]
    assert keys[0] == "job 50"
    assert keys[-1] == "unseen 99"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 7),
        ("user==ann", 2),
        ("user!=ann kind==session", 2),
        ("vram>2G", 1),
        ("mem>=3G cpu>1", 1),
        ("#12", 1),
        ("job==12", 1),
        ("pid==71", 1),
        ("VIM", 1),
        ("ours", 2),
        ("foreign", 4),
        ("procs>1 foreign", 1),
        ("forest vim", 0),
    ],
)
def test_a_filter_keeps_what_all_of_it_holds_for(text: str, expected: int) -> None:
    test, wrong = process_filter(text)
    assert wrong == ""
    assert sum(map(test, rows().values())) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ram>2G", "There is no column 'ram'"),
        ("mem>much", "cannot be read"),
        ("user>ann", "compare it with =="),
        ("pid==x", "cannot be read"),
        ("pid>70", "cannot be read"),
        ("cpu>nan", "cannot be read"),
    ],
)
def test_a_filter_that_cannot_be_read_says_so_and_shows_everything(text: str, said: str) -> None:
    test, wrong = process_filter(text)
    assert said in wrong
    assert all(map(test, rows().values()))


def test_in_a_container_pid_2_is_a_process_like_others() -> None:
    inside = [Process(1, 1, 0, 1, "sh"), Process(2, 2, 1, 1, "bash"), Process(3, 3, 2, 1, "python")]
    assert [group.kind for group in groups(inside, {})] == [GroupKind.SESSION]


def test_disk_use_that_was_read_in_part_is_not_told() -> None:
    read, unread = Process(1, 1, read_per_s=5.0, write_per_s=1.0), Process(2, 1)
    assert ProcessGroup(GroupKind.SESSION, "s", "t", (read,)).io_per_s == 6.0
    assert ProcessGroup(GroupKind.SESSION, "s", "t", (read, unread)).io_per_s is None


def test_a_word_finds_a_command_of_any_process_of_a_row() -> None:
    worker = Process(2, 1, name="python", command="python train_marker.py")
    group = ProcessGroup(GroupKind.SESSION, "s", "bash", (Process(1, 1, name="bash"), worker))
    assert process_filter("train_marker")[0](group)
