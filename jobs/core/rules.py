"""The settings that a decision obeys. Pure values; the settings file and the world share them."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.core.jobs import GIB


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """The admission settings that `decide` obeys. Fractions are 0..1 of the machine.

    `mem_headroom_*`: memory kept free for the person at the keyboard (the larger of the two counts).
    `foreign_cpu_tolerance`: share of all cores that programs outside the queue may use before their
    load counts as taken. `settle_s`: how long a fresh job's whole reservation is withheld from what the
    machine reports as available. `*_close`: pressure-stall percentages above which nothing starts;
    the gate reopens after `pressure_reopen_s` below half of them. Above `memory_full_evict` a job that uses
    more than it reserved and can save is stopped; above `io_some_slow` one job a minute starts. `window`:
    how many waiting jobs one decision looks at (of a long queue in the learned order, up to twice as many).
    A sample older than `max_sample_age_s` counts as no sample. `warm_starts`: whether processes that have
    imported a framework are kept for its recipes, for `warm_idle_s` after the last use.

    `learned_order`: smallest expected box time first, else first come first served. `ageing_s`: a wait so
    long (or 20 times its own run) halves a job's score. `usage_half_life_s`, `fair_weight`: how long what a
    user has used counts, and how much. `evict`: checkpointable jobs may be saved and stopped for jobs whose
    remaining box time is `evict_ratio` times smaller, after `trial_s` of running, at most
    `evictions_at_once` every `evict_every_s`, and as long as its restarts stay
    below `restart_share` of its progress (what a restart costs is measured; `restart_cost_s` until then).
    A job is overdue once it has waited `overdue_times` as long as all work at hand took when it was most,
    and at least `overdue_s`; it goes first then, and only jobs `overdue_ratio` times smaller pass it.

    `learned_needs`: memory, GPU memory and cores that nobody named are reserved as earlier runs used them.
    `pause_on_alert`: nothing starts while an alert stands.
    `guard_*`: cores and memory kept free while somebody has typed at a terminal of the machine within
    `guard_s`.
    """

    mem_headroom_fraction: float = 0.05
    mem_headroom_bytes: int = GIB
    foreign_cpu_tolerance: float = 0.25
    gpu_mem_headroom_fraction: float = 0.04
    settle_s: float = 5.0
    start_retry_s: float = 30.0
    memory_full_close: float = 5.0
    memory_some_close: float = 20.0
    memory_full_evict: float = 20.0
    cpu_some_close: float = 80.0
    io_some_slow: float = 60.0
    pressure_reopen_s: float = 30.0
    pause_on_alert: bool = False
    window: int = 256
    max_sample_age_s: float = 15.0
    warm_starts: bool = True
    warm_idle_s: float = 300.0
    learned_order: bool = True
    ageing_s: float = 86_400.0
    usage_half_life_s: float = 86_400.0
    fair_weight: float = 0.25
    evict: bool = True
    trial_s: float = 300.0
    evict_ratio: float = 3.0
    evict_every_s: float = 30.0
    evictions_at_once: int = 4
    restart_cost_s: float = 30.0
    restart_share: float = 0.03
    overdue_s: float = 86_400.0
    overdue_times: float = 1.0
    overdue_ratio: float = 1_000.0
    learned_needs: bool = True
    guard_cpus: float = 0.0
    guard_mem_bytes: int = 0
    guard_s: float = 300.0
