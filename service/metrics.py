"""What the service counts, by Prometheus' naming guide. Never a session id as a label."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SECONDS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("rnn_requests", "Requests answered", "endpoint", "code")
        self.request_duration = self._seconds("rnn_request_duration_seconds", "Time to the whole answer", "endpoint")
        self.batch_rows = Histogram(
            "rnn_batch_rows", "Rows that shared a run", ("bundle", "rung"), buckets=ROWS, registry=self.registry
        )
        self.queue_wait = self._seconds("rnn_queue_wait_seconds", "Time a row waited for its run", "bundle")
        self.run_duration = self._seconds("rnn_run_duration_seconds", "Time of one run of a graph", "bundle", "rung")
        self.steps = self._counter("rnn_steps", "Items that rows advanced by", "bundle")
        self.sessions_active = Gauge("rnn_sessions_active", "Live sessions in the store", registry=self.registry)
        self.sessions_ended = self._counter("rnn_sessions_ended", "Sessions that ended", "reason")
        self.step_conflicts = self._counter("rnn_step_conflicts", "Steps refused because another was due")
        self.step_replays = self._counter("rnn_step_replays", "Steps answered again from the store")
        self.state_bytes = Gauge("rnn_state_bytes", "Bytes of session records in the store", registry=self.registry)
        self.store_duration = self._seconds(
            "rnn_store_duration_seconds", "Time of a call of the session store", "backend", "op"
        )
        self.store_errors = self._counter("rnn_store_errors", "Calls of the session store that failed", "backend", "op")
        self.generated_tokens = self._counter("rnn_generated_tokens", "Characters generated")
        self.time_to_first_token = self._seconds(
            "rnn_time_to_first_token_seconds", "Time until the first piece of a generated text"
        )

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def observer(self, bundle: str) -> "BundleObserver":
        """The observer of one bundle's engine."""
        return BundleObserver(self, bundle)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(name, documentation, labels, registry=self.registry)

    def _seconds(self, name: str, documentation: str, *labels: str) -> Histogram:
        return Histogram(name, documentation, labels, buckets=SECONDS, registry=self.registry)


class BundleObserver:
    """Counts the runs of one bundle's engine."""

    def __init__(self, metrics: Metrics, bundle: str) -> None:
        self._metrics = metrics
        self._bundle = bundle

    def ran(self, stage: str, size: int, waits: Sequence[float], duration_seconds: float, num_steps: int) -> None:
        """Count one run of the rung `size` of a stage."""
        rung = f"{stage}-{size}"
        self._metrics.batch_rows.labels(self._bundle, rung).observe(len(waits))
        self._metrics.run_duration.labels(self._bundle, rung).observe(duration_seconds)
        self._metrics.steps.labels(self._bundle).inc(num_steps)
        if stage == "decode":
            self._metrics.generated_tokens.inc(num_steps)
        queue_wait = self._metrics.queue_wait.labels(self._bundle)
        for wait in waits:
            queue_wait.observe(wait)
