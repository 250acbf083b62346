"""The quality of a bundle's graphs on the development data, run by onnxruntime as they are served.

There is one figure per task, by which int8 graphs are compared with the float32 ones that they were made from. It is
measured on published data: a bundle that was trained on other data has none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tqdm import tqdm  # type: ignore[import-untyped]

from export.errors import QualityLost
from export.running import directions
from export.running.forecaster import GraphForecaster
from export.running.rungs import Rungs
from export.running.tagger import GraphTagger
from export.running.translator import GraphTranslator
from export.stages import Arrays
from service.bundle.manifest import Bundle, Figure, TrainingData
from service.bundle.tasks import CaptionTask, ForecastingTask, TaggingTask, TranslationTask
from training import captions, music
from training.captions import Attributes
from training.data import digits, etth1, ewt, multi30k, polyphony, sst2, sst_trees, tinyshakespeare, wnut17
from training.data.multi30k import Language
from training.data.source import DataError, DataSource
from training.forecasts.backtest import Backtest, Channels
from training.models.forecaster import Forecaster
from training.tasks import translation_scores
from training.tasks.caption import with_all_shifts
from training.tasks.sentiment import group_by_length
from training.text import bio

SPLIT = "dev"
HORIZON = 96
BEAMS = 5


@dataclass(frozen=True)
class Measure:
    """A figure, and how much of it int8 may lose.

    Args:
        metric: Its name in the manifest.
        compute: Measures it.
        allowed: Maps the float32 graphs' value to the worst value allowed.
        better: Whether "lower" or "higher" values are better.
        data: The data sets that it is for: a bundle must have been trained on one of them.
    """

    metric: str
    compute: Callable[[Bundle, Rungs], float]
    allowed: Callable[[float], float]
    better: Literal["lower", "higher"]
    data: tuple[DataSource, ...]

    def check_data(self, bundle: Bundle) -> None:
        """Check that the bundle was trained on data that this figure is for.

        Raises:
            DataError: It was trained on other data.
        """
        if not any(_learned_from(bundle, source) for source in self.data):
            learned = _names(bundle.manifest.data) or "data that its manifest does not name"
            raise DataError(
                f"{bundle.manifest.name} learned from {learned}, but its figure would be of {_names(self.data)}"
            )

    def check(self, float32: float, int8: float) -> None:
        """Compare the values of float32 and int8 graphs.

        Raises:
            QualityLost: int8 loses more than is allowed.
        """
        limit = self.allowed(float32)
        if not (int8 <= limit if self.better == "lower" else int8 >= limit):
            raise QualityLost(
                f"{SPLIT} {self.metric} is {int8:.4f} in int8 and {float32:.4f} in float32, but {limit:.4f} is allowed"
            )


def nats_per_char(bundle: Bundle, rungs: Rungs) -> float:
    """Return the mean negative log-likelihood per character, in one stateful pass over the text."""
    tokenizer = Tokenizer.from_file(str(bundle.file("tokenizer.json")))
    text = tinyshakespeare.split(tinyshakespeare.load())[SPLIT]
    ids = np.array(tokenizer.encode(text).ids)
    return -float(_stateful(rungs, ids).sum()) / (len(ids) - 1)


def nats_per_frame(bundle: Bundle, rungs: Rungs) -> float:
    """Return the mean negative log-likelihood per frame. Pieces start afresh, and first frames do not count."""
    (collection,) = (each for each in (polyphony.CHORALES, polyphony.FOLK) if _learned_from(bundle, each.source))
    total, frames = 0.0, 0
    for piece in tqdm(polyphony.load(collection, SPLIT), desc="measuring", unit=" pieces", leave=False, disable=None):
        total -= float(_stateful(rungs, music.tokens(piece))[len(piece[0]) + 1 :].sum())
        frames += len(piece) - 1
    return total / frames


def caption_accuracy(bundle: Bundle, rungs: Rungs) -> float:
    """Return the share of images whose greedily decoded sentence has every attribute right."""
    images, labels = with_all_shifts(*digits.load(SPLIT))
    look, decode = rungs.stages["look"], rungs.stages["decode"]
    N, K = len(images), max(decode.sizes)
    state = rungs.run(look, 1, {"x": images}, rungs.initial_state(N)).state
    greedy: Arrays = {
        "uniforms": np.zeros((N, K), dtype=np.float32),
        "temperature": np.zeros(N, dtype=np.float32),
        "top_k": np.ones(N, dtype=np.int64),
        "top_p": np.ones(N, dtype=np.float32),
        "remaining": np.full(N, K),
    }
    words = np.array(cast(CaptionTask, bundle.manifest.task).words)
    written = words[rungs.run(decode, K, greedy, state).outputs["tokens"]].tolist()
    said = [captions.parse(captions.until_end(sentence)) for sentence in written]
    expected = captions.attributes_of(images, labels)
    return sum(map(Attributes.__eq__, said, expected)) / N


def _stateful(rungs: Rungs, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log-likelihoods of all tokens except the first, in one stateful pass."""
    stage = rungs.stages["encode"]
    state, found, start = rungs.initial_state(1), [], 0
    while start < len(ids) - 1:
        T = max(size for size in stage.sizes if size < len(ids) - start)
        answer = rungs.run(stage, T, {"x": ids[None, start : start + T]}, state)
        found.append(_log_likelihoods(answer.outputs["logits"][0], ids[start + 1 : start + T + 1]))
        state, start = answer.state, start + T
    return np.concatenate(found)


def _log_likelihoods(logits: NDArray[np.float32], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log-likelihood of each token (T,), given the logits (T, V) that predict it."""
    relative = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    chosen = np.take_along_axis(relative, tokens[:, None], axis=1)[:, 0]
    return np.asarray(chosen - np.log(np.exp(relative).sum(axis=1)))


def accuracy(bundle: Bundle, rungs: Rungs) -> float:
    """Return the share of sentences whose label is right after their last word."""
    tokenizer = Tokenizer.from_file(str(bundle.file("tokenizer.json")))
    correct = examples = 0
    for group in group_by_length(tokenizer, sst2.load(SPLIT)):
        last = directions.logits(rungs, {"x": group.ids})[:, -1]
        correct += int((last.argmax(axis=1) == group.labels).sum())
        examples += len(group.labels)
    return correct / examples


def tag_accuracy(bundle: Bundle, rungs: Rungs) -> float:
    """Return the share of words whose part of speech is right, read sentence by sentence."""
    sentences = ewt.load(SPLIT)
    found = GraphTagger(bundle, rungs).tag([[word.form for word in each.words] for each in sentences])
    actual = [word.upos for each in sentences for word in each.words]
    guesses = [tag for tags in found for tag in tags]
    return sum(a == b for a, b in zip(actual, guesses, strict=True)) / len(actual)


def entity_f1(bundle: Bundle, rungs: Rungs) -> float:
    """Return F1 over whole entities."""
    sentences = wnut17.load(SPLIT)
    found = GraphTagger(bundle, rungs).tag([each.tokens for each in sentences])
    return bio.match([each.tags for each in sentences], found).f1


def mse(bundle: Bundle, rungs: Rungs) -> float:
    """Return the mean squared error of 96 standardised readings ahead, in fresh sessions that have read 96.

    Raises:
        DataError: The bundle does not forecast that far ahead.
    """
    longest = cast(ForecastingTask, bundle.manifest.task).max_horizon
    if longest < HORIZON:
        raise DataError(f"{bundle.manifest.name} forecasts at most {longest} readings, but the figure needs {HORIZON}")
    series = etth1.series()
    channels = Channels.known(series.standardized, series.splits["train"])
    model = cast(Forecaster, GraphForecaster(bundle, rungs))
    return Backtest(model, channels, series.splits[SPLIT], series.protocol).windowed(HORIZON).figures()["mse"]


def bleu(bundle: Bundle, rungs: Rungs) -> float:
    """Return the BLEU of translations by beam search, over lower-cased tokens."""
    language = cast(TranslationTask, bundle.manifest.task).target
    pairs = multi30k.load(SPLIT, cast(Language, language))
    found = GraphTranslator(bundle, rungs).translate([pair.english for pair in pairs], BEAMS)
    return translation_scores.tokenized_bleu(found, [pair.translation for pair in pairs], cast(Language, language))


MULTI30K = (*multi30k.sources("de"), *multi30k.sources("fr"))
MEASURES = {
    "generation": Measure(
        "nats_per_char", nats_per_char, lambda float32: 1.01 * float32, "lower", (tinyshakespeare.SOURCE,)
    ),
    "translation": Measure("bleu", bleu, lambda float32: float32 - 0.3, "higher", MULTI30K),
    # Models trained on the trees are measured on SST-2's sentences, which come from the same corpus.
    "sentiment": Measure(
        "accuracy", accuracy, lambda float32: float32 - 0.003, "higher", (sst2.SOURCE, sst_trees.SOURCE)
    ),
    "tagging": Measure("accuracy", tag_accuracy, lambda float32: float32 - 0.003, "higher", (ewt.SOURCES["train"],)),
    "music": Measure(
        "nats_per_frame",
        nats_per_frame,
        lambda float32: 1.01 * float32,
        "lower",
        (polyphony.CHORALES.source, polyphony.FOLK.source),
    ),
    "caption": Measure(
        "caption_accuracy", caption_accuracy, lambda float32: float32 - 0.003, "higher", (digits.SOURCE,)
    ),
    "forecasting": Measure(
        f"mse_l{etth1.PROTOCOL.look_back}_h{HORIZON}", mse, lambda float32: 1.01 * float32, "lower", (etth1.SOURCE,)
    ),
}
ENTITIES = Measure("entity_f1", entity_f1, lambda float32: float32 - 0.003, "higher", (wnut17.SOURCES["train"],))


def measure_for(bundle: Bundle) -> Measure:
    """Return the measure of a bundle."""
    task = bundle.manifest.task
    return ENTITIES if isinstance(task, TaggingTask) and task.scheme == "bio" else MEASURES[task.kind]


def measure(bundle: Bundle, rungs: Rungs) -> Figure:
    """Measure a bundle.

    Raises:
        DataError: The data are not available, or the bundle was trained on other data.
    """
    chosen = measure_for(bundle)
    chosen.check_data(bundle)
    return Figure(metric=chosen.metric, split=SPLIT, value=chosen.compute(bundle, rungs), of="graph")


def _learned_from(bundle: Bundle, source: DataSource) -> bool:
    return source.sha256 in {data.sha256 for data in bundle.manifest.data}


def _names(data: Sequence[DataSource | TrainingData]) -> str:
    return " or ".join(dict.fromkeys(source.name for source in data))
