import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from training import checkpoint
from training.beam_search import BeamSettings
from training.command import main
from training.data import multi30k
from training.data.multi30k import Pair
from training.data.source import DataError
from training.models.translation import TranslationModelSettings
from training.plots.attention import draw_attention
from training.tasks import translation, translation_scores
from training.tasks.task import NOT_PREDICTED
from training.tasks.translation import TranslationSettings, TranslationTask, batch_of
from training.text.subwords import END, END_ID, START_ID

WORDS = {"a dog": "ein Hund", "a cat": "eine Katze", "two men": "zwei Männer", "a child": "ein Kind"}
VERBS = {"runs": "läuft", "sleeps": "schläft", "eats": "isst"}
TRAIN = [
    Pair(f"{noun.capitalize()} {verb}.", f"{translated[:1].upper()}{translated[1:]} {VERBS[verb]}.")
    for noun, translated in WORDS.items()
    for verb in VERBS
] * 5
DEV = TRAIN[:4]
SETTINGS = TranslationSettings(
    rows=8, pieces=60, model=TranslationModelSettings(embedding_size=5, encoder_size=4, decoder_size=7)
)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> TranslationTask:
    monkeypatch.setattr(multi30k, "load", lambda split, _: {"train": TRAIN, "dev": DEV}[split])
    return TranslationTask(SETTINGS)


def test_every_pair_is_read_once_an_epoch(task: TranslationTask) -> None:
    batches = list(task.train_batches(0))
    assert len(batches) == task.batches_per_epoch() == 8
    decode = task.tokenizer.decode
    read = [
        (decode(row[:length].tolist()), decode(target[target != NOT_PREDICTED].tolist()))
        for source, lengths, _, labels in batches
        for row, length, target in zip(source, lengths, labels, strict=True)
    ]
    assert sorted(read) == sorted((pair.english, pair.translation) for pair in task._train_pairs)


def test_english_is_lower_case_and_translations_begin_as_inside_of_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [Pair("A Man", "Ein Mann"), Pair("That is A Man", "Da ist ein Mann")]
    monkeypatch.setattr(multi30k, "load", lambda *_: pairs)
    assert TranslationTask(SETTINGS)._train_pairs == [
        Pair("a man", "ein Mann"),
        Pair("that is a man", "Da ist ein Mann"),
    ]


def test_items_are_the_pieces_that_are_predicted(task: TranslationTask) -> None:
    batch = batch_of([np.array([3, 4, 5]), np.array([6])], [np.array([7]), np.array([8, 9, 10])])
    assert task.count_items(batch) == 1 + 3 + 2


def test_batches_are_of_like_lengths(task: TranslationTask) -> None:
    batches = list(task.train_batches(1))
    within = np.mean([float(lengths.max() - lengths.min()) for _, lengths, _, _ in batches])
    lengths = torch.cat([lengths for _, lengths, _, _ in batches])
    assert within < float(lengths.max() - lengths.min()) / 2


def test_epochs_differ_but_are_always_the_same(task: TranslationTask) -> None:
    first, again, other = ([batch[0].tolist() for batch in task.train_batches(epoch)] for epoch in (0, 0, 1))
    assert first == again
    assert first != other


def test_labels_are_the_inputs_a_step_later() -> None:
    source, lengths, inputs, labels = batch_of([np.array([5, 6]), np.array([7])], [np.array([8]), np.array([9, 10])])
    assert source.tolist() == [[5, 6], [7, END_ID]]
    assert lengths.tolist() == [2, 1]
    assert inputs.tolist() == [[START_ID, 8, END_ID], [START_ID, 9, 10]]
    assert labels.tolist() == [[8, END_ID, NOT_PREDICTED], [9, 10, END_ID]]


@torch.no_grad()
def test_loss_counts_every_piece_once(task: TranslationTask) -> None:
    model = TranslationTask(SETTINGS.model_copy(update={"label_smoothing": 0.0}), task.tokenizer).build_model().eval()
    pairs = task._train_pairs[:4]
    encode = task.tokenizer.encode
    total, pieces = 0.0, 0
    for pair in pairs:
        source, target = encode(pair.english).ids, encode(pair.translation).ids
        logits = model(torch.tensor([source]), torch.tensor([len(source)]), torch.tensor([[START_ID, *target]]))
        total += float(cross_entropy(logits[0], torch.tensor([*target, END_ID]), reduction="sum"))
        pieces += len(target) + 1
    assert task._cross_entropy(model, DEV) == pytest.approx(total / pieces, rel=1e-5)


def test_sources_are_those_of_the_language() -> None:
    assert [source.name for source in TranslationTask(SETTINGS).sources] == ["Multi30k, train.en", "Multi30k, train.de"]
    french = TranslationTask(SETTINGS.model_copy(update={"language": "fr"}))
    assert french.sources[1].address.endswith("/train.fr.gz")


@pytest.mark.usefixtures("task")
def test_trained_model_translates_what_it_has_seen(tmp_path: Path) -> None:
    small = ["rows=8", "piece_dropout=0", "model.embedding_size=32", "model.encoder_size=32"]
    small += ["model.decoder_size=32", "model.embedding_dropout=0", "model.dropout=0", "model.output_dropout=0"]
    small += ["loop.epochs=15", "loop.learning_rate=0.02", "loop.ema_decay=none"]
    settings = [part for setting in small for part in ("--set", setting)]
    assert main(["translation", "--output", str(tmp_path), *settings]) == 0
    best = checkpoint.load(tmp_path / "best")
    assert best.figures["dev"]["bleu"] == pytest.approx(100)
    with torch.no_grad():
        assert best.definition.translate(best.model, ["Two MEN eats."], BeamSettings()) == ["Zwei Männer isst."]


def test_a_run_may_start_from_the_weights_of_another(task: TranslationTask, tmp_path: Path) -> None:
    first = task.build_model()
    checkpoint.save(tmp_path / "best", task, first, "python -m training translation")
    again = TranslationTask(SETTINGS.model_copy(update={"warm_start": str(tmp_path / "best")}), task.tokenizer)
    model = again.build_model()
    again.initialise(model)
    assert all(torch.equal(weight, model.state_dict()[name]) for name, weight in first.state_dict().items())


def test_weights_that_are_not_there_or_do_not_fit_are_no_start(task: TranslationTask, tmp_path: Path) -> None:
    other = SETTINGS.model_copy(update={"warm_start": str(tmp_path), "model": TranslationModelSettings()})
    with pytest.raises(DataError, match="no weights to start from"):
        TranslationTask(other, task.tokenizer).initialise(task.build_model())
    checkpoint.save(tmp_path, task, task.build_model(), "python -m training translation")
    again = TranslationTask(other, task.tokenizer)
    with pytest.raises(DataError, match="size mismatch"):
        again.initialise(again.build_model())
    pieces = json.loads((tmp_path / "tokenizer.json").read_text())
    vocabulary = pieces["model"]["vocab"]
    first, second, *_ = vocabulary
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (tmp_path / "tokenizer.json").write_text(json.dumps(pieces))
    with pytest.raises(DataError, match="its subword pieces are different"):
        again.initialise(again.build_model())


@torch.no_grad()
def test_attention_is_drawn(task: TranslationTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(translation, "draw_attention", lambda *what: drawn.append(what))
    task.plot(task.build_model().eval(), "dev", tmp_path)
    ((path, _, source, target, weights),) = drawn
    assert path == tmp_path / "attention_dev.png"
    assert weights.shape == (len(target), len(source))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert target[-1] == END
    draw_attention(path, "Attention", source, target, weights)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_bleu_is_of_tokens_in_lower_case() -> None:
    references = ["Ein Mann, der „Hut“ sagt.", "Zwei Hunde laufen über eine Wiese."]
    found = ['ein mann , der "hut" sagt .', "zwei hunde laufen über eine wiese ."]
    figures = translation_scores.figures(found, references, "de")
    assert figures["bleu"] == pytest.approx(100)
    assert figures["sacrebleu"] < 60
    assert 50 < figures["chrf"] < 100


def test_french_articles_are_tokens() -> None:
    references = ["Un groupe d'hommes traverse la rue."]
    found = ["Un groupe d'enfants traverse la rue."]
    # 7 of 8 tokens, 5 of 7 pairs, 3 of 6 triples and 1 of 5 quadruples are right.
    assert translation_scores.tokenized_bleu(found, references, "fr") == pytest.approx(
        100 * (7 / 8 * 5 / 7 * 3 / 6 * 1 / 5) ** 0.25
    )
