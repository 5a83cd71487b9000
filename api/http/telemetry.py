"""Counters and gauges for Prometheus."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from core.jobspec.status import STATUSES, Status

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0)


class Telemetry:
    """The metrics of one application, in a registry of their own.

    So several applications can live in one process.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "distill_http_requests",
            "Responses, by route",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "distill_http_request_seconds",
            "Time until the end of the response, by route",
            ["method", "route"],
            buckets=_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self._jobs = Gauge(
            "distill_jobs", "Jobs of all projects, by status", ["status"], registry=self.registry
        )
        self._streams = Gauge("distill_event_streams", "Open event streams", registry=self.registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        method = method if method in METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def render(self, jobs: dict[Status, int], streams: int) -> bytes:
        """Return all metrics in Prometheus' text format."""
        for status in STATUSES:
            self._jobs.labels(status).set(jobs.get(status, 0))
        self._streams.set(streams)
        return generate_latest(self.registry)
