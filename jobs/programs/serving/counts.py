"""What a service counts of itself, as Prometheus reads it, and its latest latencies for its job's row."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from jobs.kinds.service import Service
from jobs.programs.serving.drift import Drift
from jobs.programs.serving.prediction_log import PredictionLog

ROUTES = ("/predict", "/invocations", "/ping", "/health", "/ready", "/metrics", "/openapi.json")
_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_REMEMBERED = 4096


class Counts:
    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "cro_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self._latency = Histogram(
            "cro_latency_seconds", "Time to answer.", ["route"], buckets=_BUCKETS_S, registry=registry
        )
        self._rows = Counter("cro_rows", "Rows predicted.", registry=registry)
        self._swaps = Counter("cro_swaps", "Versions put in the place of another.", registry=registry)
        self._busy = Gauge("cro_requests_in_flight", "Requests being answered.", registry=registry)
        self._model = Gauge(
            "cro_model_info", "What is served.", ["name", "version", "engine"], registry=registry
        )
        self._psi = Gauge(
            "cro_input_drift_psi",
            "Population stability index of the latest inputs against the training rows.",
            ["column"],
            registry=registry,
        )
        self._ks = Gauge(
            "cro_input_drift_ks",
            "Largest difference of the cumulative distributions of the same.",
            ["column"],
            registry=registry,
        )
        self._compared = Gauge(
            "cro_input_drift_rows", "How many of the latest rows are compared.", registry=registry
        )
        self._dropped = Gauge(
            "cro_predictions_not_logged", "Rows that the prediction log could not take.", registry=registry
        )
        self._known: dict[tuple[str, int], tuple[Counter, Histogram]] = {}  # finding a label's is slow
        self._late: deque[float] = deque(maxlen=_REMEMBERED)
        self.answered = self.failed = self.refused = 0

    def began(self) -> None:
        self._busy.inc()

    def ended(self, path: str, status: int, took_s: float) -> None:
        route = path if path in ROUTES else "other"
        self._busy.dec()
        if (route, status) not in self._known:
            counted = self._requests.labels(route, str(status)), self._latency.labels(route)
            self._known[route, status] = counted
        requests, latency = self._known[route, status]
        requests.inc()
        latency.observe(took_s)
        if route in ("/predict", "/invocations"):
            self._late.append(took_s)
            self.answered += 1
            self.failed += status >= 500
            self.refused += 400 <= status < 500

    def predicted(self, rows: int) -> None:
        self._rows.inc(rows)

    def measured(self, drifts: Iterable[Drift], rows: int, log: PredictionLog | None) -> None:
        """Have the latest of these in the text."""
        self._psi.clear()
        self._ks.clear()
        for each in drifts:
            self._psi.labels(each.column).set(each.psi)
            if each.ks is not None:
                self._ks.labels(each.column).set(each.ks)
        self._compared.set(rows)
        self._dropped.set(0 if log is None else log.dropped)

    def serving(self, service: Service, *, swapped: bool) -> None:
        self._model.clear()
        self._model.labels(service.name, str(service.version), service.engine).set(1)
        if swapped:
            self._swaps.inc()

    def latencies_ms(self) -> dict[str, float]:
        """Percentiles of the latest predictions."""
        found = sorted(self._late)
        return {"p50_ms": _at(found, 0.5) * 1e3, "p99_ms": _at(found, 0.99) * 1e3} if found else {}

    def text(self) -> bytes:
        return generate_latest(self._registry)


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
