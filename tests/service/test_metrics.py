"""What is counted, and that counting some at a time counts the same."""

import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from service.metrics import ENDS, SECONDS, BatchHistogram, Metrics, RequestTally
from tests.paths import DOCS

DOCUMENT = DOCS / "metrics.md"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("", "_bucket", "_sum", "_count")}


def histogram() -> tuple[CollectorRegistry, BatchHistogram]:
    registry = CollectorRegistry()
    return registry, BatchHistogram("h", "Seconds", ("label",), buckets=SECONDS, registry=registry)


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """All samples but when they were begun."""
    return {
        f"{sample.name}{sample.labels}": sample.value
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(st.sampled_from([*SECONDS, 0.0, -1.0, 61.0]) | st.floats(0, 100), max_size=30))
def test_many_values_count_as_each_in_turn(values: list[float]) -> None:
    (one_by_one, each), (together, many) = histogram(), histogram()
    child = each.labels("a")
    for value in values:
        child.observe(value)
    many.labels("a").observe_many(values)
    assert samples(together) == pytest.approx(samples(one_by_one))


def test_a_tally_hands_on_what_was_added_once() -> None:
    metrics = Metrics()
    tally = RequestTally(metrics)
    for status, seconds in ((200, 0.002), (200, 0.3), (409, 0.002)):
        tally.add("/steps", status, seconds)
    sample = metrics.registry.get_sample_value
    assert sample("rnn_requests_total", {"endpoint": "/steps", "code": "200"}) is None
    for _ in range(2):
        tally.flush()
        assert sample("rnn_requests_total", {"endpoint": "/steps", "code": "200"}) == 2
        assert sample("rnn_requests_total", {"endpoint": "/steps", "code": "409"}) == 1
        assert sample("rnn_request_duration_seconds_sum", {"endpoint": "/steps"}) == pytest.approx(0.304)


@pytest.mark.anyio
async def test_runs_are_counted_by_bundle_and_rung() -> None:
    metrics = Metrics()
    observer = metrics.observer("sum:0")
    observer.count_run("encode", 4, [0.001, 0.002], 0.01, 8)
    observer.count_run("encode", 4, [0.001], 0.03, 3)
    observer.count_run("decode", 8, [0.5], 0.02, 5)
    text = (await metrics.exposition()).decode()
    sample = metrics.registry.get_sample_value
    assert sample("rnn_batch_rows_sum", {"bundle": "sum:0", "rung": "encode-4"}) == 3
    assert sample("rnn_run_duration_seconds_sum", {"bundle": "sum:0", "rung": "encode-4"}) == pytest.approx(0.04)
    assert sample("rnn_queue_wait_seconds_count", {"bundle": "sum:0"}) == 4
    assert sample("rnn_steps_total", {"bundle": "sum:0"}) == 16
    assert sample("rnn_generated_tokens_total") == 5
    assert 'rnn_steps_total{bundle="sum:0"} 16.0' in text
    assert await metrics.exposition() == text.encode()


def test_runs_are_counted_once_however_often_they_are_handed_on() -> None:
    metrics = Metrics()
    observer = metrics.observer("sum:0")
    for _ in range(2):
        observer.count_run("decode", 8, [0.5], 0.02, 5)
        observer.flush()
    sample = metrics.registry.get_sample_value
    assert sample("rnn_steps_total", {"bundle": "sum:0"}) == 10
    assert sample("rnn_generated_tokens_total") == 10
    assert sample("rnn_queue_wait_seconds_count", {"bundle": "sum:0"}) == 2


def test_a_bundle_that_is_opened_again_is_observed_by_who_observed_it_before() -> None:
    metrics = Metrics()
    first = metrics.observer("sum:0")
    assert metrics.observer("sum:0") is first
    assert metrics.observer("sum:1") is not first


@pytest.mark.anyio
async def test_a_bundle_that_is_served_no_longer_is_not_told_of() -> None:
    metrics = Metrics()
    for bundle in ("sum:0", "sum:1"):
        metrics.observer(bundle).count_run("encode", 4, [0.001], 0.01, 8)
    assert "sum:0" in (await metrics.exposition()).decode()
    metrics.forget("sum:0")
    text = (await metrics.exposition()).decode()
    assert "sum:0" not in text
    assert "sum:1" in text


def test_a_bundle_may_be_opened_in_a_thread_while_counts_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    monkeypatch.setattr(metrics.observer("sum:0"), "flush", lambda: metrics.observer("sum:1"))
    metrics.flush()
    assert metrics.observer("sum:1") is metrics.observer("sum:1")


@pytest.mark.anyio
async def test_every_end_of_a_session_is_told_before_the_first() -> None:
    text = (await Metrics().exposition()).decode()
    assert [reason for reason in ENDS if f'rnn_sessions_ended_total{{reason="{reason}"}} 0.0' in text] == [*ENDS]


@pytest.mark.anyio
async def test_an_exposition_hands_on_every_tally() -> None:
    metrics = Metrics()
    metrics.requests_tally.add("/", 200, 0.1)
    metrics.store_tally.add(("lmdb", "load"), 0.2)
    text = (await metrics.exposition()).decode()
    assert 'rnn_requests_total{code="200",endpoint="/"} 1.0' in text
    assert 'rnn_store_duration_seconds_count{backend="lmdb",op="load"} 1.0' in text


def test_the_document_has_a_row_for_every_metric_and_no_other() -> None:
    rows = re.findall(r"^\| `(rnn_\w+)` \| (.*?) \|", DOCUMENT.read_text(), re.MULTILINE)
    counted = (metric for metric in vars(Metrics()).values() if isinstance(metric, MetricWrapperBase))
    expected = {metric._name + SUFFIXES[metric._type][0]: metric._labelnames for metric in counted}
    assert {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == expected
    assert len(rows) == len(expected)


def test_what_the_document_asks_of_is_scraped() -> None:
    families = Metrics().registry.collect()
    scraped = {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}
    assert set(re.findall(r"(?<![\w:])rnn_\w+", DOCUMENT.read_text())) <= scraped


@pytest.mark.anyio
async def test_the_files_of_all_workers_are_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    def generate(_: CollectorRegistry) -> bytes:
        threads.append(threading.current_thread())
        return b""

    monkeypatch.setattr("service.metrics.generate_latest", generate)
    await Metrics().exposition()
    assert threading.main_thread() not in threads
