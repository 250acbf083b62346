"""The catalog, with the shipped bundle for sentiment."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.bundle.errors import BundleError, BundleGraphMismatch
from service.bundle.manifest import read_bundle
from service.catalog import Catalog, configured_bundles
from service.engine.engine import Engine
from service.engine.numerics import cpu_features, fingerprint
from service.errors import ModelUnknown, NotStreamable, VersionUnknown
from service.metrics import Metrics
from service.settings import NOWHERE, BundleSettings, EngineSettings
from service.tasks.sentiment import StreamingSentimentModel, WholeTextSentimentModel
from tests.fakes.catalog import new_catalog, serve
from tests.fakes.graphs import RecordingObserver, SumGraphs, sum_bundle
from tests.fakes.model import SumModel
from tests.paths import MODELS

pytestmark = pytest.mark.anyio


async def test_a_bundle_is_opened_served_and_let_go_of() -> None:
    metrics = Metrics()
    models = Catalog(BundleSettings(), EngineSettings(), metrics)
    model = await asyncio.to_thread(models.load, read_bundle(MODELS / "sentiment"))
    assert isinstance(model, StreamingSentimentModel)
    models.add(model)
    assert (len(models), models.current_tags) == (0, {})
    models.make_current(model.bundle.tag)
    assert (list(models), models.current_tags) == (["sentiment"], {"sentiment": model.bundle.tag})
    assert not models.is_serving
    models.start()
    assert models.is_serving
    row = model.layout.initial
    advance = await model.engine.advance("encode", row, {"x": np.array([3, 4, 5])}, 3, keep=["logits"])
    assert advance.outputs["logits"].shape == (3, 2)
    assert len(advance.row) == len(row)
    assert models.session_model_by_tag(model.bundle.tag) is model
    await models.stop()
    assert not models.is_serving
    observer = metrics.observer(model.bundle.tag)
    await models.remove(model.bundle.tag)
    assert metrics.observer(model.bundle.tag) is not observer
    with pytest.raises(VersionUnknown) as refused:
        models.session_model_by_tag(model.bundle.tag)
    assert str(refused.value) == f"bundle {model.bundle.tag} is not served; of sentiment there are []"
    assert refused.value.members() == {}


async def test_answers_are_as_large_as_those_of_the_models_that_are_served() -> None:
    models = new_catalog()
    for version, num_logits in (("1", 7), ("2", 30_000)):
        graphs = SumGraphs(sum_bundle(version))
        model = SumModel(graphs.bundle, Engine(graphs, RecordingObserver()))
        model.num_logits = num_logits
        models.add(model)
    assert models.max_num_logits == 30_000
    await models.remove("sum:2")
    assert models.max_num_logits == 7
    await models.remove("sum:1")
    assert models.max_num_logits == 0


def test_prepared_graphs_are_kept_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    models = Catalog(BundleSettings(prepared_graphs=""), EngineSettings(), Metrics())
    bundle = models.load(read_bundle(MODELS / "sentiment")).bundle
    directory = tmp_path / "unrolled" / "graphs" / models.numerics.hex()
    assert any(directory.glob(f"*/{bundle.version}/encode-1-*.onnx"))


def test_a_bundle_is_served_though_prepared_graphs_are_kept_nowhere() -> None:
    models = Catalog(BundleSettings(prepared_graphs=NOWHERE), EngineSettings(), Metrics())
    assert models.load(read_bundle(MODELS / "sentiment")).name == "sentiment"


async def test_all_graphs_are_opened_at_the_start_where_that_is_set(tmp_path: Path) -> None:
    directory = shutil.copytree(MODELS / "sentiment", tmp_path / "sentiment")
    models = Catalog(BundleSettings(), EngineSettings(open_rungs="all"), Metrics())
    model = models.load(read_bundle(directory))
    shutil.rmtree(directory)
    assert isinstance(model, StreamingSentimentModel)
    serve(models, [model])
    models.start()
    num_items = max(model.bundle.manifest.stage("encode").rungs)
    ids = np.full(num_items, 3)
    advance = await model.engine.advance("encode", model.layout.initial, {"x": ids}, num_items, keep=["logits"])
    assert advance.outputs["logits"].shape == (num_items, 2)
    await models.stop()


async def test_a_catalog_is_idle_once_every_row_is_through_its_engine() -> None:
    models = new_catalog()
    for version in ("1", "2"):
        graphs = SumGraphs(sum_bundle(version))
        models.add(SumModel(graphs.bundle, Engine(graphs, RecordingObserver())))
    model = models.session_model_by_tag("sum:2")
    assert models.is_idle
    advancing = asyncio.create_task(model.engine.advance("encode", model.layout.initial, {"x": np.array([3, 4, 5])}, 3))
    await asyncio.sleep(0)
    assert not models.is_idle
    models.start()
    await advancing
    assert models.is_idle
    await models.stop()


async def test_a_version_that_needs_whole_inputs_is_served_and_has_no_sessions() -> None:
    models = new_catalog()
    model = await asyncio.to_thread(models.load, read_bundle(MODELS / "sentiment-bidirectional"))
    assert isinstance(model, WholeTextSentimentModel)
    models.add(model)
    with pytest.raises(NotStreamable, match="sentiment-bidirectional needs whole inputs, so it has no sessions"):
        models.session_model_by_tag(model.bundle.tag)
    models.make_current(model.bundle.tag)
    with pytest.raises(NotStreamable, match="sentiment-bidirectional needs whole inputs, so it has no sessions"):
        models.session_model(model.name)


def test_new_sessions_begin_on_the_current_version(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    models = new_catalog()
    for version in ("1", "2"):
        graphs = SumGraphs(sum_bundle(version))
        models.add(SumModel(graphs.bundle, Engine(graphs, RecordingObserver())))
    models.make_current("sum:1")
    assert models.session_model("sum").bundle.version == "1"
    with pytest.raises(ModelUnknown, match=r"no model 'sun' is served; there are sessions on \['sum'\]"):
        models.session_model("sun")
    assert caplog.messages == []
    models.make_current("sum:2")
    assert caplog.messages == ["new sessions and questions go to sum:2, no longer to sum:1"]


async def test_a_bundle_whose_stages_no_model_for_its_task_takes_is_refused() -> None:
    bundle = read_bundle(MODELS / "generation")
    encode, *others = bundle.manifest.stages
    stages = (encode.model_copy(update={"direction": "backward"}), *others)
    backwards = bundle.manifest.model_copy(update={"stages": stages})
    with pytest.raises(BundleGraphMismatch, match="reads whole inputs only, which no model for generation does"):
        await asyncio.to_thread(new_catalog().load, replace(bundle, manifest=backwards))


def test_a_version_is_found_by_its_name_the_current_one_first() -> None:
    models = new_catalog()
    for version in ("1", "3", "2"):
        graphs = SumGraphs(sum_bundle(version))
        models.add(SumModel(graphs.bundle, Engine(graphs, RecordingObserver())))
    assert models.versions("sum") == []
    models.make_current("sum:3")
    assert models.versions("sum") == ["3", "1", "2"]
    assert [models.served("sum", version).bundle.version for version in ("", "1", "3")] == ["3", "1", "3"]
    with pytest.raises(ModelUnknown, match=r"no model 'sun' is served; there are \['sum'\]"):
        models.served("sun")
    with pytest.raises(ModelUnknown, match=r"version '4' of model 'sum' is not served; there are \['3', '1', '2'\]"):
        models.served("sum", "4")


async def test_what_is_added_to_a_started_catalog_serves_at_once_and_to_a_stopped_one_never() -> None:
    models = new_catalog()
    models.start()
    model = models.load(read_bundle(MODELS / "sentiment"))
    models.add(model)
    assert model.engine.is_serving
    await models.stop()
    late = SumModel(sum_bundle(), Engine(SumGraphs(sum_bundle()), RecordingObserver()))
    models.add(late)
    assert not late.engine.is_serving


def test_a_directory_without_bundles_serves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="UNROLLED_BUNDLES"):
        configured_bundles(BundleSettings(), tmp_path)


def test_a_damaged_shipped_bundle_is_no_bundle(tmp_path: Path) -> None:
    shutil.copytree(MODELS / "sentiment", tmp_path / "sentiment")
    with (tmp_path / "sentiment" / "weights.bin").open("r+b") as weights:
        weights.write(b"\xff\xff")
    with pytest.raises(BundleError, match="sha256"):
        configured_bundles(BundleSettings(), tmp_path)


def test_numerics_are_eight_bytes_of_what_computes() -> None:
    assert len(fingerprint("cpu")) == 8
    assert fingerprint("cpu") == fingerprint("cpu") == new_catalog().numerics
    assert fingerprint("cpu") != fingerprint("cuda")
    assert list(cpu_features()) == sorted(set(cpu_features()))
