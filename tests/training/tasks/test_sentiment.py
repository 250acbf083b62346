from collections import Counter
from pathlib import Path

import pytest
import torch

from training import checkpoint
from training.command import main
from training.data import sst2
from training.data.source import sha256_of
from training.data.sst2 import Example
from training.models.sentiment import SentimentModelSettings
from training.tasks.sentiment import OwnLabelledTexts, SentimentSettings, SentimentTask, group_by_length

GOOD, BAD = ["great", "moving", "charming"], ["dull", "awful", "tedious"]
TRAIN = [
    Example(" ".join([*["the film is"] * (i % 3), word, "."][i % 2 :]), label)
    for i in range(30)
    for label, words in enumerate((BAD, GOOD))
    for word in words
]
DEV = [Example("the film is dull .", 0), Example("a great film .", 1), Example("(Awful!)", 0), Example("Moving", 1)]
SETTINGS = SentimentSettings(rows=7, model=SentimentModelSettings(embedding_size=5, hidden_size=7))


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> SentimentTask:
    monkeypatch.setattr(sst2, "load", {"train": TRAIN, "dev": DEV}.__getitem__)
    return SentimentTask(SETTINGS)


def test_every_text_is_read_once_an_epoch_in_batches_of_one_length(task: SentimentTask) -> None:
    batches = list(SentimentTask(SETTINGS.model_copy(update={"rarity": 0.0})).train_batches(0))
    assert len(batches) == task.batches_per_epoch()
    assert all(1 <= len(x) == len(y) <= 7 for x, y in batches)
    read = Counter((tuple(ids), int(label)) for x, y in batches for ids, label in zip(x.tolist(), y, strict=True))
    assert read == Counter((tuple(task.tokenizer.encode(e.sentence).ids), e.label) for e in TRAIN)


def test_items_are_the_words_of_all_texts(task: SentimentTask) -> None:
    words = sum(len(task.tokenizer.encode(example.sentence).ids) for example in TRAIN)
    assert sum(map(task.count_items, task.train_batches(0))) == words


def test_epochs_shuffle_differently_but_always_the_same(task: SentimentTask) -> None:
    first, again, other = ([y.tolist() for _, y in task.train_batches(epoch)] for epoch in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [
        (1.0, "right for 3 of 3 texts; always 'good' is right for 2; so few texts say little"),
        (1 / 3, "right for 1 of 3 texts; always 'good' is right for 2; so few texts say little; more texts or"),
    ],
)
def test_a_users_own_texts_are_compared_with_the_commonest_label(tmp_path: Path, accuracy: float, verdict: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text("text,label\n" + "".join(f"text {i},{'bad' if i < 6 else 'good'}\n" for i in range(25)))
    own = OwnLabelledTexts(path=str(path), sha256=sha256_of(path), text="text", label="label", labels=("bad", "good"))
    assert SentimentTask(SentimentSettings(own=own)).verdict({"accuracy": accuracy}).startswith(verdict)
    assert SentimentTask(SentimentSettings()).verdict({"accuracy": accuracy}) == ""


def test_rare_words_become_unknown_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [Example("common common common", 1)] * 33 + [Example("rare", 0)]
    monkeypatch.setattr(sst2, "load", lambda _: examples)
    task = SentimentTask(SentimentSettings(rarity=1.0, word_dropout=0.0))
    rates = {word: task._drop_rates[task.tokenizer.token_to_id(word)] for word in ("common", "rare")}
    assert rates == {"common": pytest.approx(1 / 100), "rare": pytest.approx(1 / 2)}
    epochs = [x for epoch in range(200) for x, _ in task.train_batches(epoch)]
    unknown = sum(int((x == 0).sum()) for x in epochs if x.shape[1] == 1)
    assert 70 <= unknown <= 130


def test_every_word_becomes_unknown_as_often_besides(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [Example("common common common", 1)] * 33 + [Example("rare", 0)]
    monkeypatch.setattr(sst2, "load", lambda _: examples)
    task = SentimentTask(SentimentSettings(rarity=1.0, word_dropout=0.2))
    rates = {word: task._drop_rates[task.tokenizer.token_to_id(word)] for word in ("common", "rare")}
    assert rates == {"common": pytest.approx(1 - 0.8 * 99 / 100), "rare": pytest.approx(1 - 0.8 / 2)}
    read = torch.cat([x.ravel() for epoch in range(20) for x, _ in task.train_batches(epoch)])
    assert 0.18 < float((read == 0).float().mean()) < 0.24


def test_small_batches_count_by_their_rows(task: SentimentTask) -> None:
    model = task.build_model().eval()
    x, y = torch.tensor([[1, 2, 3]] * 7), torch.ones(7, dtype=torch.int64)
    whole, _ = task.loss(model, (x, y), None)
    part, _ = task.loss(model, (x[:2], y[:2]), None)
    torch.testing.assert_close(part, whole * 2 / 7)


def test_groups_keep_each_text_with_its_label(task: SentimentTask) -> None:
    groups = group_by_length(task.tokenizer, DEV)
    assert [group.ids.shape for group in groups] == [(1, 1), (2, 4), (1, 5)]
    for group in groups:
        for ids, label in zip(group.ids.tolist(), group.labels, strict=True):
            assert (ids, label) in [(task.tokenizer.encode(e.sentence).ids, e.label) for e in DEV]


@torch.no_grad()
def test_accuracy_is_that_of_sentences_one_by_one(task: SentimentTask) -> None:
    model = task.build_model().eval()
    figures = task.evaluate(model, "dev")
    correct = 0
    for example in DEV:
        outputs, _ = model.unroll(torch.tensor([task.tokenizer.encode(example.sentence).ids]), model.initial_state(1))
        correct += int(outputs["logits"][0, -1].argmax()) == example.label
    assert figures["accuracy"] == correct / len(DEV)
    assert figures["examples"] == len(DEV)


@pytest.mark.usefixtures("task")
def test_trained_model_knows_words_that_it_has_seen(tmp_path: Path) -> None:
    small = ["rows=7", "model.hidden_size=7", "model.embedding_size=5", "loop.epochs=8", "loop.learning_rate=0.03"]
    settings = [part for setting in [*small, "loop.ema_decay=none"] for part in ("--set", setting)]
    assert main(["sentiment", "--output", str(tmp_path), *settings]) == 0
    assert checkpoint.load(tmp_path / "best").figures["dev"]["accuracy"] == 1.0


def test_missing_test_split_is_said_plainly(
    tmp_path: Path, task: SentimentTask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.save(tmp_path / "best", task, task.build_model(), "python -m training sentiment")
    monkeypatch.undo()
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path))
    assert main(["evaluate", str(tmp_path / "best"), "--split", "test"]) == 1
    assert f"missing data file {tmp_path / 'sentiment' / 'sst2_test.tsv'}" in capsys.readouterr().err
