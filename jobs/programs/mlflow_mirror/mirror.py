"""Writes to MLflow's own store, by its own client: runs, registered models, their aliases.

The only file that loads MLflow, in the mirror's own process. It reads nothing of ours: it is handed values.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException

from jobs.core.tracking import ModelCard, RegisteredModel
from jobs.kinds.mlflow_run import JOB_TAG, MlflowRun
from jobs.records import mlflow_prepared
from jobs.records.mlflow_prepared import EXPERIMENT

_BATCH = 1000  # what one call of MLflow takes in all
_PARAMS, _TAGS = 100, 100
VERSION_TAG = "cro.version"


class Mirror:
    def __init__(self, folder: Path) -> None:
        """Opens the store; makes it, with all its tables, where it is not there yet."""
        self._folder = folder
        for name in ("free", "given"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._client = MlflowClient(mlflow_prepared.uri(folder), mlflow_prepared.uri(folder))
        found = self._client.get_experiment_by_name(EXPERIMENT)
        self._experiment = (
            self._client.create_experiment(EXPERIMENT, (folder / "artifacts").as_uri())
            if found is None
            else found.experiment_id
        )
        (folder / mlflow_prepared.DATABASE).chmod(0o600)
        with contextlib.closing(sqlite3.connect(folder / mlflow_prepared.DATABASE)) as database:
            database.execute("PRAGMA journal_mode = WAL")  # for good: who reads holds up nobody who writes

    def prepare(self, count: int) -> None:
        """Have so many runs ready for jobs to come."""
        for _ in range(count - mlflow_prepared.left(self._folder)):
            run = self._client.create_run(self._experiment, tags={"cro.prepared": "true"})
            mlflow_prepared.add(self._folder, run.info.run_id)
        (self._folder / mlflow_prepared.READY).touch()

    def run(self, job_id: int, what: MlflowRun) -> str:
        """Tell of a job that has ended, once or again: into its own run. The run's id."""
        run_id = mlflow_prepared.given(self._folder, job_id) or self._run_of(job_id)
        if not run_id:
            made = self._client.create_run(
                self._experiment, what.started_ms, {JOB_TAG: str(job_id)}, run_name=what.name
            )
            run_id = made.info.run_id
        self._client.set_tag(run_id, JOB_TAG, str(job_id))
        metrics = [Metric(*each) for each in what.metrics]
        params = [Param(*each) for each in what.params]
        tags = [RunTag(*each) for each in what.tags]
        for start in range(0, max(len(params), len(tags), 1), _PARAMS):
            part = slice(start, start + _PARAMS)
            self._client.log_batch(run_id, (), params[part], tags[part])
        for start in range(0, len(metrics), _BATCH):
            self._client.log_batch(run_id, metrics[start : start + _BATCH])
        if what.data:
            self._client.log_inputs(
                run_id, [DatasetInput(Dataset(p[-400:], d, "local", p), []) for p, d in what.data]
            )
        if what.packages:
            lines = [f"{name}=={version}\n" for name, version in sorted(what.packages.items())]
            self._client.log_text(run_id, "".join(lines), "packages.txt")
        self._client.set_terminated(run_id, what.status, what.finished_ms)
        return run_id

    def drop(self, job_id: int) -> None:
        """Take the run away that was prepared for a job of which nothing is told."""
        run_id = mlflow_prepared.given(self._folder, job_id)
        if run_id:
            self._client.delete_run(run_id)

    def models(self, models: Iterable[tuple[RegisteredModel, Iterable[tuple[ModelCard, Path]]]]) -> None:
        """Have MLflow's registry show these names, versions and aliases, as far as it does not yet."""
        for model, versions in models:
            try:
                there = self._client.get_registered_model(model.name)
            except MlflowException:
                there = self._client.create_registered_model(model.name)
            found = self._client.search_model_versions(f"name = '{model.name}'")
            known = {each.tags.get(VERSION_TAG): each.version for each in found}
            for card, content in versions:
                if str(card.version) in known:
                    continue
                made = self._client.create_model_version(
                    model.name,
                    content.as_uri(),
                    self._run_of(card.job_id) or None,
                    {VERSION_TAG: str(card.version), "cro.digest": card.digest, "cro.flavor": card.flavor},
                    description=card.note or None,
                )
                known[str(card.version)] = made.version
            aliases = dict(there.aliases or {})
            for alias, version in model.aliases.items():
                if aliases.get(alias) != known.get(str(version)) and str(version) in known:
                    self._client.set_registered_model_alias(model.name, alias, known[str(version)])
            for alias in aliases.keys() - model.aliases.keys():
                self._client.delete_registered_model_alias(model.name, alias)

    def _run_of(self, job_id: int) -> str:
        found = self._client.search_runs(
            [self._experiment], f"tags.`{JOB_TAG}` = '{job_id}'", ViewType.ACTIVE_ONLY, 1
        )
        return found[0].info.run_id if found else ""
