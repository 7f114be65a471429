"""What earlier runs say of the next one. Pure; knows numbers, not where they are kept.

Run times are remembered as means and variances of logarithms under keys from general to specific:
everybody, this user, this program, so much of it, this program with these very arguments. A forecast walks
down the keys and lets each pull the estimate in proportion to how often it was seen, so that one run says
something and twelve say nearly all. Planning with it while only the person's own limit stops a job follows
Tsafrir, Etsion and Feitelson, TPDS 2007.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from jobs.core.jobs import Forecast, JobSpec

UNKNOWN_RUN_S = 600.0  # of a job of which nothing at all is known
_LIMIT_SHARE = 0.25  # of its limit, a job of which only that is known
_UNKNOWN_VARIANCE = 4.0  # of the logarithm: a factor of e squared either way
_MEMORY = 12  # runs that a key remembers; older ones fade
_OPTIMISM = 4.0  # standard deviations below the estimate
_LEAST_DOUBT = 1.0  # of the logarithm: a job that fails at once is never ruled out
_SHORTEST_S = 1.0
_LONGEST_ARGUMENTS = 1000
_SIZES = frozenset(
    {
        *("epochs", "steps", "iterations", "max_iter", "n_iter", "n_estimators", "trees", "n_trees"),
        *("folds", "cv", "trials", "rows", "samples", "n_samples"),
    }
)


@dataclass(frozen=True, slots=True)
class Moments:
    """What a key remembers: runs (fading beyond twelve), mean and variance of log seconds."""

    runs: int = 0
    mean: float = 0.0
    variance: float = 0.0

    def with_run(self, run_s: float) -> Moments:
        """One more run, in constant time."""
        value = math.log(max(run_s, _SHORTEST_S / 10))
        off = value - self.mean
        mean = self.mean + off / (self.runs + 1)
        variance = (self.runs * self.variance + off * (value - mean)) / (self.runs + 1)
        return Moments(min(self.runs + 1, _MEMORY), mean, variance)


NOTHING = Moments()


def runtime_keys(spec: JobSpec) -> tuple[str, ...]:
    """The names under which its run time is remembered, from general to specific."""
    needs, user = spec.needs, spec.user
    shape = f"{needs.cpus:g} cpus {needs.gpus} gpus"
    keys = ["all", f"user {user}", f"user {user} {'gpu' if needs.gpus else 'cpu'}", f"user {user} {shape}"]
    if needs.time_limit_s is not None:
        keys.append(f"user {user} {shape} limit {needs.time_limit_s:g}")
        keys.append(f"user {user} {shape} limit {needs.time_limit_s:g} mem {needs.mem_bytes}")
    if (kind := program(spec)) is not None:
        keys += [f"program {kind}", f"program {kind} user {user}"]
        if (size := log_size(spec)) is not None:
            keys.append(f"program {kind} size {size:.0f}")
        if (exact := exact_key(spec)) is not None:
            keys.append(exact)
    return tuple(keys)


def exact_key(spec: JobSpec) -> str | None:
    """The name of this program with these very arguments; None where they are too long to remember."""
    kind = program(spec)
    exact = repr(spec.params) if spec.recipe else repr(spec.argv)
    return None if kind is None or len(exact) > _LONGEST_ARGUMENTS else f"exactly {kind} {exact}"


def log_size(spec: JobSpec) -> float | None:
    """The binary logarithm of how much it is to do: by the parameters whose names say so, and its files."""
    sizes = [
        float(value)
        for name, value in spec.params
        if name.lower() in _SIZES and isinstance(value, int | float) and value > 0
    ]
    if spec.input_bytes > 0:
        sizes.append(float(spec.input_bytes))
    return sum(math.log2(size) for size in sizes) if sizes else None


def program(spec: JobSpec) -> str | None:
    """What a job runs, without its arguments: its recipe, or the command and the script that it names."""
    if spec.recipe:
        return f"recipe {spec.recipe}"
    if not spec.argv:
        return None
    words = [word.rpartition("/")[2] for word in spec.argv[:2]]
    script = words[1] if len(words) > 1 and "." in words[1] and not words[1].startswith("-") else ""
    return f"{words[0]} {script}".strip()


def forecast(spec: JobSpec, remembered: Callable[[str], Moments | None]) -> Forecast:
    """What a run of this is expected to take, and how many runs of the same program say so.

    A limit bounds it.
    """
    limit_s = spec.needs.time_limit_s
    guess = UNKNOWN_RUN_S if limit_s is None else max(_SHORTEST_S, limit_s * _LIMIT_SHARE)
    own = ("program", "exactly") if program(spec) else f"user {spec.user} {spec.needs.cpus:g} cpus"
    estimate, variance, runs = math.log(guess), _UNKNOWN_VARIANCE, 0
    for key in runtime_keys(spec):
        known = remembered(key)
        if known is None or known.runs == 0:
            continue
        n, off = known.runs, known.mean - estimate
        variance = (n * known.variance + variance + n * off * off / (n + 1)) / (n + 1)
        estimate = (n * known.mean + estimate) / (n + 1)
        if key.startswith(own):
            runs = n
    run_s = max(_SHORTEST_S, math.exp(estimate))
    doubt = max(_LEAST_DOUBT, math.sqrt(variance))
    shortest_s = max(_SHORTEST_S, math.exp(estimate - _OPTIMISM * doubt))
    if limit_s is not None:
        run_s, shortest_s = min(run_s, limit_s), min(shortest_s, limit_s)
    return Forecast(run_s, shortest_s, runs, math.sqrt(variance))
