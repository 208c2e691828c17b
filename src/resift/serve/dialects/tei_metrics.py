"""The server's measurements under the names of text-embeddings-inference, for dashboards that expect these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric, UnknownMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

# TEI's reason for a failed request, by the status of its answer; the reason of other statuses is "inference".
_REASONS = {
    400: "validation",
    413: "validation",
    422: "validation",
    404: "model_type",
    429: "overloaded",
    499: "dropped",
}
_NOT_COUNTED = frozenset(  # routes
    ("other", "/health", "/ready", "/ping", "/metrics", "/openapi.json", "/info", "/v1/models", "/api/models")
    + ("/tei/health", "/tei/ping", "/tei/metrics", "/tei/info")
)
_HISTOGRAMS = {
    "resift_request_seconds": "te_request_duration",
    "resift_pair_tokens": "te_request_input_length",
    "resift_batch_rows": "te_batch_next_size",
    "resift_batch_tokens": "te_batch_next_tokens",
}


class TEINames(Collector):
    """Shows the measurements of a registry that TEI has a name for; all models and formats together."""

    def __init__(self, source: CollectorRegistry) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """Counts of requests, their histograms, and the queue."""
        for metric in self._source.collect():
            if metric.name == "resift_requests":
                yield from _counts(metric.samples)
            elif metric.name in _HISTOGRAMS:
                yield _histogram(_HISTOGRAMS[metric.name], metric)
            elif metric.name == "resift_queue_requests":
                queue = UnknownMetricFamily("te_queue_size", "Requests that wait.")
                queue.add_metric([], metric.samples[0].value)
                yield queue


def exposition(source: CollectorRegistry) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(TEINames(source))
    return generate_latest(registry)


def _counts(samples: list[Sample]) -> Iterator[Metric]:
    """Requests, answers and failures. They have no type, since the names of TEI's counters do not end in _total."""
    statuses: dict[int, float] = defaultdict(float)
    for s in samples:
        if s.name == "resift_requests_total" and s.labels["route"] not in _NOT_COUNTED:
            statuses[int(s.labels["status"])] += s.value
    count = UnknownMetricFamily("te_request_count", "Requests.", labels=["method"])
    count.add_metric(["batch"], sum(statuses.values()))
    success = UnknownMetricFamily("te_request_success", "Requests that were answered.", labels=["method"])
    success.add_metric(["batch"], statuses.get(200, 0.0))
    failed: dict[str, float] = defaultdict(float)
    for status, n in statuses.items():
        if status != 200:
            failed[_REASONS.get(status, "inference")] += n
    failure = UnknownMetricFamily("te_request_failure", "Requests that were not, by reason.", labels=["err"])
    for reason, n in failed.items():
        failure.add_metric([reason], n)
    yield from (count, success, failure)


def _histogram(name: str, metric: Metric) -> Metric:
    """The same histogram, summed over routes and models."""
    totals: dict[tuple[str, str], float] = defaultdict(float)
    for s in metric.samples:
        part = s.name.removeprefix(metric.name)
        if part != "_created" and s.labels.get("route") not in _NOT_COUNTED:
            totals[part, s.labels.get("le", "")] += s.value
    histogram = Metric(name, metric.documentation, "histogram")
    for (part, le), value in totals.items():
        histogram.add_sample(name + part, {"le": le} if le else {}, value)
    return histogram
