"""The settings that a decision obeys. Pure values; the settings file and the world share them."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.model import GIB


@dataclass(frozen=True, slots=True)
class Rules:
    """The admission settings that `decide` obeys. Fractions are 0..1 of the machine.

    `mem_headroom_*`: memory kept free for the person at the keyboard (the larger of the two counts).
    `foreign_cpu_tolerance`: share of all cores that programs outside the queue may use before their
    load counts as taken. `settle_s`: how long a fresh job's whole reservation is withheld from what the
    machine reports as available. `*_close`: pressure-stall percentages above which nothing starts;
    the gate reopens after `pressure_reopen_s` below half of them. `window`: how many waiting jobs one
    decision looks at. A sample older than `max_sample_age_s` counts as no sample. `warm_starts`: whether
    processes that have imported a framework are kept for its recipes, for `warm_idle_s` after the last use.
    """

    mem_headroom_fraction: float = 0.05
    mem_headroom_bytes: int = GIB
    foreign_cpu_tolerance: float = 0.25
    gpu_mem_headroom_fraction: float = 0.04
    settle_s: float = 5.0
    start_retry_s: float = 30.0
    memory_full_close: float = 5.0
    memory_some_close: float = 20.0
    cpu_some_close: float = 80.0
    pressure_reopen_s: float = 30.0
    window: int = 256
    max_sample_age_s: float = 15.0
    warm_starts: bool = True
    warm_idle_s: float = 300.0
