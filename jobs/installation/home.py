"""Where every file of an installation lies. Creates the folders, and reads next to nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.core.ports import BadInput

KEEP = "keep"  # in an attempt's folder: the files of its job are never removed
REMOVED = "removed"  # in a job's folder: when its files were removed


@dataclass(frozen=True, slots=True)
class Home:
    """Where one installation keeps its files. Two installations share nothing."""

    data: Path
    settings_file: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Home:
        """`CRO_HOME` holds everything; without it, the platform's data and config folders do."""
        named = environ.get("CRO_HOME", "")
        if named:
            folder = Path(named).expanduser().absolute()
            return cls(folder, folder / "settings.toml")
        from platformdirs import user_config_path, user_data_path

        config = user_config_path("cro-tui", appauthor=False)
        return cls(user_data_path("cro-tui", appauthor=False), config / "settings.toml")

    @property
    def database(self) -> Path:
        return self.data / "cro.db"

    @property
    def jobs(self) -> Path:
        return self.data / "jobs"

    @property
    def captured_variables(self) -> Path:
        return self.data / "environments"

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"

    @property
    def run(self) -> Path:
        """Lock, sockets, vitals: beside the data, for the lock must live as long as what it guards."""
        return self.data / "run"

    @property
    def subscriptions(self) -> Path:
        return self.run / "watch"

    @property
    def scheduler_socket(self) -> Path:
        return self.run / "daemon.sock"

    @property
    def scheduler_lock(self) -> Path:
        return self.run / "daemon.lock"

    @property
    def latest_sample(self) -> Path:
        return self.run / "vitals.json"

    @property
    def load_history(self) -> Path:
        return self.run / "load.jsonl"

    @property
    def recipes(self) -> Path:
        return self.data / "recipes"

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def mlflow(self) -> Path:
        return self.data / "mlflow"

    @property
    def recipe_environments(self) -> Path:
        return self.data / "venvs"

    @property
    def scheduler_log(self) -> Path:
        return self.data / "daemon.log"

    def attempt(self, job_id: int, attempt: int) -> Path:
        """The job folder of one attempt."""
        return self.jobs / str(job_id // 1000) / str(job_id) / str(attempt)

    def removed_at(self, job_id: int) -> float | None:
        """When the files of an ended job were removed to make room; None while they are there."""
        try:
            return float((self.attempt(job_id, 1).parent / REMOVED).read_text())
        except (OSError, ValueError):
            return None

    def make(self) -> None:
        """Create the folders that are missing, for their owner only."""
        try:
            for folder in (
                self.data,
                self.jobs,
                self.captured_variables,
                self.run,
                self.subscriptions,
                self.recipes,
            ):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"The folder for cro-tui's files cannot be made: {error}.",
                "Set CRO_HOME to a folder that you can write.",
            ) from error
