"""The service's metrics, named by Prometheus' guide. Never a session id as a label."""

import asyncio
from bisect import bisect_left
from collections import Counter as Multiset
from collections.abc import Iterable, Sequence
from warnings import catch_warnings

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from service.process.metric_files import BUNDLE, exposition, keep_within

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
ENDS = ("ended", "expired", "evicted", "replaced")
SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class BatchHistogram(Histogram):
    """A histogram that observes many values at once."""

    def observe_many(self, values: Iterable[float]) -> None:
        """Observe each value, writing each bucket once."""
        values = list(values)
        self._sum.inc(sum(values))
        for bucket, count in Multiset(bisect_left(self._upper_bounds, value) for value in values).items():
            self._buckets[bucket].inc(count)


class Tally:
    """Values for a histogram, kept in plain lists until they are flushed. That takes a tenth of the time."""

    def __init__(self, histogram: BatchHistogram) -> None:
        self._histogram = histogram
        self._values: dict[tuple[str, ...], list[float]] = {}

    def add(self, labels: tuple[str, ...], value: float) -> None:
        """Keep a value for the histogram's child with these label values."""
        self._values.setdefault(labels, []).append(value)

    def flush(self) -> None:
        """Observe the values in the histogram."""
        values_by_labels, self._values = self._values, {}
        for labels, values in values_by_labels.items():
            self._histogram.labels(*labels).observe_many(values)


class Metrics:
    """The metrics of one process, in a registry of their own.

    With several workers, prometheus_client keeps a file for each one, and the worker that is asked answers for all of
    them. Most gauges come from the store, which the workers share, so the latest value is right. Connections are added
    up.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("rnn_requests", "Requests answered, by HTTP status", "endpoint", "code")
        self.request_duration = self._seconds(
            "rnn_request_duration_seconds",
            "Time from the start of a request's handler to the last byte of its answer",
            "endpoint",
        )
        self.batch_rows = BatchHistogram(
            "rnn_batch_rows", "Rows that shared a run", ("bundle", "rung"), buckets=ROWS, registry=self.registry
        )
        self.queue_wait = self._seconds("rnn_queue_wait_seconds", "Time that a row waited for its run", "bundle")
        self.event_loop_delay = self._seconds(
            "rnn_event_loop_delay_seconds", "Time by which a timer of the event loop ran late"
        )
        self.run_duration = self._seconds("rnn_run_duration_seconds", "Time of one run of a graph", "bundle", "rung")
        self.steps = self._counter("rnn_steps", "Items by which rows advanced, in each stage", "bundle")
        self.sessions_active = self._gauge("rnn_sessions_active", "Live sessions in the store")
        self.sessions_opened = self._counter("rnn_sessions_opened", "Sessions that were opened")
        self.sessions_ended = self._counter("rnn_sessions_ended", "Sessions that ended", "reason")
        for reason in ENDS:  # at 0 from the start: Prometheus sees no increase in a series that begins above 0
            self.sessions_ended.labels(reason)
        self.step_items = self._counter("rnn_step_items", "Steps of POST /steps, by the HTTP status of each", "code")
        self.step_conflicts = self._counter("rnn_step_conflicts", "Steps refused because another was due")
        self.step_replays = self._counter("rnn_step_replays", "Steps answered again from the store")
        self.state_bytes = self._gauge("rnn_state_bytes", "Bytes of session records in the store")
        self.store_duration = self._seconds(
            "rnn_store_duration_seconds", "Time of a call to the session store", "backend", "op"
        )
        self.store_tally = Tally(self.store_duration)
        self.store_errors = self._counter("rnn_store_errors", "Calls to the session store that failed", "backend", "op")
        self.store_evicted_keys = self._gauge("rnn_store_evicted_keys", "Keys that the session store has evicted")
        self.generated_tokens = self._counter("rnn_generated_tokens", "Characters, notes and words generated")
        self.time_to_first_token = self._seconds(
            "rnn_time_to_first_token_seconds", "Time to the first piece of generated text"
        )
        self.build_info = self._gauge(
            "rnn_build_info", "What is running; always 1", "version", "onnxruntime", "provider", "numerics"
        )
        self.workers_started = self._counter(
            "rnn_workers_started", "Workers that started to serve, including replacements"
        )
        self.connections = Gauge(
            "rnn_connections", "Open connections", ("kind",), registry=self.registry, multiprocess_mode="livesum"
        )
        self.connections_broken = self._counter(
            "rnn_connections_broken", "Connections that the kernel broke because the client read nothing"
        )
        self.requests_tally = RequestTally(self)
        self._exposing = asyncio.Lock()
        self._observers: dict[str, BundleObserver] = {}
        self._forgotten: set[str] = set()  # bundle versions that were served here and are no longer

    def flush(self) -> None:
        """Write what the hot paths have counted in plain lists into the metrics."""
        self.requests_tally.flush()
        self.store_tally.flush()
        for observer in list(self._observers.values()):  # threads that load bundles add to them meanwhile
            observer.flush()

    async def exposition(self) -> bytes:
        """Return the metrics of all workers in Prometheus' text format. Reading a worker's files takes 0.1 s."""
        self.flush()
        async with self._exposing:
            return await asyncio.to_thread(self._collected)

    def _collected(self) -> bytes:
        of_all = exposition(frozenset(self._forgotten))
        return generate_latest(self.registry) if of_all is None else of_all

    def observer(self, bundle: str) -> "BundleObserver":
        """Return the observer for a bundle version. Reused if the version is loaded again."""
        self._forgotten.discard(bundle)
        return self._observers.setdefault(bundle, BundleObserver(self, bundle))

    def forget(self, bundle: str) -> None:
        """Drop the series of a bundle version that is no longer served."""
        self._observers.pop(bundle, None)
        self._forgotten.add(bundle)
        with catch_warnings(action="ignore"):  # that they stay in the files, which `keep_room` sees to
            for metric in (self.batch_rows, self.queue_wait, self.run_duration, self.steps):
                metric.remove_by_labels({BUNDLE: bundle})

    def keep_room(self) -> None:
        """Keep this process's files within what is reserved for them.

        Raises:
            OSError: The disk is full.
        """
        for value in (self.step_conflicts._value, self.time_to_first_token._sum):  # one of each file that grows
            if value._multiprocess:
                keep_within(value._file, self._forgotten)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, registry=self.registry, multiprocess_mode="mostrecent")

    def _seconds(self, name: str, documentation: str, *labels: str) -> BatchHistogram:
        return BatchHistogram(name, documentation, labels, buckets=SECONDS, registry=self.registry)


class BundleObserver:
    """Counts the runs of one bundle's engine in plain lists until they are flushed."""

    def __init__(self, metrics: Metrics, bundle: str) -> None:
        self._metrics = metrics
        self._bundle = bundle
        self._runs: dict[tuple[str, int], list[tuple[int, float]]] = {}
        self._waits: list[float] = []
        self._num_steps = 0
        self._num_generated = 0

    def count_run(self, stage: str, rung: int, waits: Sequence[float], duration_seconds: float, num_steps: int) -> None:
        """Count one run of a rung of a stage."""
        self._runs.setdefault((stage, rung), []).append((len(waits), duration_seconds))
        self._waits.extend(waits)
        self._num_steps += num_steps
        if stage == "decode":
            self._num_generated += num_steps

    def flush(self) -> None:
        """Write what was counted into the metrics."""
        runs, self._runs = self._runs, {}
        waits, self._waits = self._waits, []
        for (stage, size), run in runs.items():
            labels = (self._bundle, f"{stage}-{size}")
            rows, seconds = zip(*run, strict=True)
            self._metrics.batch_rows.labels(*labels).observe_many(rows)
            self._metrics.run_duration.labels(*labels).observe_many(seconds)
        if runs:
            self._metrics.queue_wait.labels(self._bundle).observe_many(waits)
            self._metrics.steps.labels(self._bundle).inc(self._num_steps)
            self._metrics.generated_tokens.inc(self._num_generated)
        self._num_steps = self._num_generated = 0


class RequestTally:
    """Answered requests, counted by endpoint and status until they are flushed."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seconds: dict[tuple[str, int], list[float]] = {}

    def add(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request that took `seconds`."""
        self._seconds.setdefault((endpoint, status), []).append(seconds)

    def flush(self) -> None:
        """Write what was counted into the metrics."""
        seconds_by_key, self._seconds = self._seconds, {}
        for (endpoint, status), seconds in seconds_by_key.items():
            self._metrics.requests.labels(endpoint, str(status)).inc(len(seconds))
            self._metrics.request_duration.labels(endpoint).observe_many(seconds)
