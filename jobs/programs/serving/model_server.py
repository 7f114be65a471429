"""What is served at this moment. It follows its alias: the next version is ready before it takes over.

A request keeps the version that it began with; the one before is let go when its last request has ended.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from jobs.core.ports import CroError
from jobs.kinds import service as nouns
from jobs.programs.serving.counts import Counts
from jobs.programs.serving.drift import Recent, drift_sentence
from jobs.programs.serving.engines import Predictions
from jobs.programs.serving.loading import LoadedModel, load
from jobs.programs.serving.prediction_log import FILE, PredictionLog
from jobs.programs.serving.rows import Rows
from jobs.registry.store import Registry
from jobs.runtime import atomic_write

LOOK_EVERY_S = 0.25


class ModelServer:
    def __init__(self, asked: nouns.ServiceRequest, url: str, output: Path | None) -> None:
        self._asked, self._url, self._output = asked, url, output
        self._registry = Registry(Path(asked.models))
        self._name = asked.reference.partition("@")[0].partition(":")[0]
        self._seen: int | None = None
        self._failed: int | None = None  # the version that could not be served
        self.counts = Counts()
        self.loaded: LoadedModel | None = None
        self.recent = Recent(None)
        self.log: PredictionLog | None = None
        self.service: nouns.Service | None = None

    def open(self) -> None:
        """Load what the reference means now. Raises CroError."""
        self._seen = self._changed_ns()
        card = self._registry.card(self._asked.reference)
        self._take(load(self._registry, card, native_only=self._asked.native), swapped=False)
        if self._asked.log_predictions and self._output is not None:
            self.log = PredictionLog(self._output)
            print(f"what is asked and answered is kept in {FILE}", flush=True)

    def predicted(self, loaded: LoadedModel, rows: Rows, answer: Predictions) -> None:
        """Remember what was asked and answered, as far as it is wished for."""
        self.counts.predicted(rows.count)
        if loaded is self.loaded:
            self.recent.saw(rows)
        if self.log is not None:
            self.log.put(f"{loaded.card.name}:{loaded.card.version}", rows, answer)

    def report(self) -> None:
        """Say anew how much it answers, how quickly, and whether its inputs drift."""
        service, latencies = self.service, self.counts.latencies_ms()
        assert service is not None
        drifts = self.recent.drifts()
        told = replace(
            service,
            requests=self.counts.answered,
            p50_ms=round(latencies.get("p50_ms", 0.0), 3),
            p99_ms=round(latencies.get("p99_ms", 0.0), 3),
            drift=drift_sentence(drifts, self.recent.rows),
        )
        if told != service:
            self._tell(told)

    async def follow(self) -> None:
        """Go with the alias until cancelled. What cannot be served is said, and what is served stays."""
        again = False  # two changes can bear one time: after each, there is one more look
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            changed = self._changed_ns()
            if changed != self._seen:
                self._seen, self._failed, again = changed, None, True
            elif again:
                again = False
            else:
                continue
            await self._look()

    async def _look(self) -> None:
        assert self.loaded is not None
        try:
            card = await asyncio.to_thread(self._registry.card, self._asked.reference)
            if card.version == self.loaded.card.version:
                self._trouble("")
                return
            if card.version == self._failed:
                return
            self._failed = card.version
            print(f"{self._asked.reference} means {card.name}:{card.version} now: loading it", flush=True)
            found = await asyncio.to_thread(load, self._registry, card, native_only=self._asked.native)
        except CroError as error:
            print(error, file=sys.stderr, flush=True)
            self._trouble(error.title)
            return
        except Exception as error:  # whatever a new version does, the one at hand goes on
            print(f"the new version cannot be served: {error!r}", file=sys.stderr, flush=True)
            self._trouble(f"The new version cannot be served: {type(error).__name__}.")
            return
        self._take(found, swapped=True)

    def _take(self, found: LoadedModel, *, swapped: bool) -> None:
        self.loaded, self.recent = found, Recent(found.card.spread)
        self._tell(
            nouns.Service(
                self._url,
                self._asked.reference,
                found.card.name,
                found.card.version,
                found.engine.kind,
                found.why_native,
                since_at=time.time(),
                pid=os.getpid(),
            )
        )
        assert self.service is not None
        self.counts.serving(self.service, swapped=swapped)
        native = f" ({found.why_native})" if found.why_native else ""
        how = f"{found.card.name}:{found.card.version} by {found.engine.kind}{native}"
        print(f"serving {how} at {self._url}", flush=True)

    def _trouble(self, sentence: str) -> None:
        if self.service is not None and self.service.problem != sentence:
            self._tell(replace(self.service, problem=sentence))

    def _tell(self, service: nouns.Service) -> None:
        self.service = service
        if self._output is not None:
            try:
                atomic_write.replace(self._output / nouns.SERVICE, nouns.service_text(service))
            except OSError as error:  # a full disk, say: it goes on answering
                print(f"{nouns.SERVICE} cannot be written: {error.strerror}", file=sys.stderr, flush=True)

    def _changed_ns(self) -> int | None:
        """Versions and aliases appear by a rename in this folder."""
        try:
            return os.stat(Path(self._asked.models) / "names" / self._name).st_mtime_ns
        except OSError:
            return None
