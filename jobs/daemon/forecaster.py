"""What is remembered of earlier runs, and the forecasts that follow for the jobs at hand.

Reads and writes the store's table of runs; the arithmetic is `policy.past`. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jobs.core.jobs import Forecast, Job, JobId, JobSpec, Queued, Succeeded
from jobs.core.world import World
from jobs.policy.history import UNKNOWN, RunHistory, after_restart, after_run, after_save, forecast_of
from jobs.policy.runtime_model import runtime_keys
from jobs.store.writer import Store

SHORTEST_S = 0.1  # runs shorter than this teach nothing about when room becomes free
MOST_KEYS = 20_000  # kept in memory


class Forecaster:
    """One for a store. `stale`: a run has taught something since the waiting jobs got their forecasts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, RunHistory] = {}
        self.stale = False

    def learn(self, job: Job) -> None:
        """Remember what a job took and used that has just succeeded, its earlier attempts included."""
        assert isinstance(job.state, Succeeded)
        if not job.spec.kind.traits.has_end:
            return
        run_s = job.attained_s + job.state.finished_at - job.state.started_at
        if run_s < SHORTEST_S:
            return
        self._read(runtime_keys(job.spec))
        self._remember(after_run(job.spec, run_s, job.state.usage, self._known.get))

    def learn_save(self, spec: JobSpec, saved: bool, took_s: float) -> None:
        """Remember whether a job saved that was asked to, and how long that took."""
        self._read(runtime_keys(spec))
        self._remember(after_save(spec, saved, took_s, self._known.get))

    def learn_restart(self, spec: JobSpec, took_s: float) -> None:
        """Remember how soon a job was at work again that went on."""
        self._read(runtime_keys(spec))
        self._remember(after_restart(spec, took_s, self._known.get))

    def forecasts(self, world: World, *, fresh: bool) -> Mapping[JobId, Forecast]:
        """For the jobs of the world that have none; `fresh`: for all that wait and whose has changed."""
        fresh = fresh and self.stale
        asked = [
            job
            for job in world.jobs.values()
            if job.forecast is None or (fresh and isinstance(job.state, Queued))
        ]
        if fresh:
            self.stale = False
        keys = {job.id: runtime_keys(job.spec) for job in asked}
        self._read({key for some in keys.values() for key in some})
        made: dict[object, Forecast] = {}
        found = {}
        for job in asked:
            kind = keys[job.id], job.spec.needs, job.spec.explicit_needs
            if kind not in made:
                made[kind] = forecast_of(job.spec, self._known.get, world.capacity, world.settings)
            if made[kind] != job.forecast:
                found[job.id] = made[kind]
        return found

    def _remember(self, changed: Mapping[str, RunHistory]) -> None:
        for key, past in changed.items():
            self._known[key] = past
            self._store.set_history(key, past)
        self.stale |= bool(changed)

    def _read(self, keys: Iterable[str]) -> None:
        missing = [key for key in keys if key not in self._known]
        if missing:
            if len(self._known) + len(missing) > MOST_KEYS:
                self._known.clear()
                missing = list(keys)
            self._known |= dict.fromkeys(missing, UNKNOWN) | self._store.histories(missing)
