from pathlib import Path

import numpy as np
import pytest
import torch

from training import checkpoint
from training.command import main
from training.data import ewt
from training.data.ewt import Sentence, Word
from training.data.source import DataError
from training.models.tagging import TaggingModelSettings
from training.settings import CONFIGS, SettingsError, load, validate
from training.tasks.tagged_sentences import spell
from training.tasks.tagging import TaggingTask
from training.tasks.task import NOT_PREDICTED
from training.tasks.word_tagging import TaggingSettings

TAGS = {"the": "DET", "dog": "NOUN", "cat": "NOUN", "runs": "VERB", "walked": "VERB", ".": "PUNCT"}


def sentence(text: str, opens_document: bool = False) -> Sentence:
    words = (Word(word, TAGS[word.lower()], f"x{TAGS[word.lower()]}", "_", "dep") for word in text.split())
    return Sentence(text, tuple(words), opens_document)


TRAIN = [sentence("The dog runs .", opens_document=True), sentence("the cat walked"), sentence("cat .")] * 8
DEV = [sentence("the dog walked .", opens_document=True), sentence("Cat runs")]
SMALL = TaggingModelSettings(word_size=6, character_size=4, character_hidden_size=5, hidden_size=7, layers=2)
SETTINGS = TaggingSettings(rows=5, min_count=1, auxiliary_weight=0.5, joined_share=1.0, rarity=0.0, model=SMALL)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> TaggingTask:
    monkeypatch.setattr(ewt, "load", {"train": TRAIN, "dev": DEV}.__getitem__)
    return TaggingTask(SETTINGS)


def test_very_long_words_keep_both_ends() -> None:
    assert spell("x" * 100 + "ed") == spell("x" * 20 + "x" * 18 + "ed")
    assert spell("a\N{SNOWMAN}b") == [spell("a")[0], 0, spell("b")[0]]


def test_joined_sentences_follow_one_another_within_a_document(task: TaggingTask) -> None:
    ids = task.tokenizer.get_vocab()
    firsts, seconds = set(), set()
    for words, _ in task.train_batches(0):
        for row, length in zip(words.ids.tolist(), words.lengths.tolist(), strict=True):
            (firsts if length == 7 else seconds).add(tuple(row[:length]))
    the, dog, cat, runs, walked, stop = (ids[word] for word in ("the", "dog", "cat", "runs", "walked", "."))
    assert firsts == {(the, dog, runs, stop, the, cat, walked)}
    assert seconds == {(the, cat, walked, cat, stop), (cat, stop)}


def test_items_are_the_words_of_all_sentences(task: TaggingTask) -> None:
    words = sum(len(found.words) for found in TRAIN)
    alone = TaggingTask(SETTINGS.model_copy(update={"joined_share": 0.0}))
    assert sum(map(alone.count_items, alone.train_batches(0))) == words
    assert sum(map(task.count_items, task.train_batches(0))) > words  # sentences that are joined are read twice


def test_batches_hold_every_sentence_with_its_targets_and_spellings(task: TaggingTask) -> None:
    batches = list(TaggingTask(SETTINGS.model_copy(update={"joined_share": 0.0})).train_batches(0))
    assert len(batches) == task.batches_per_epoch()
    by_id = {i: word for word, i in task.tokenizer.get_vocab().items()}
    seen = 0
    for words, targets in batches:
        for row, length in enumerate(words.lengths.tolist()):
            assert (targets[row, length:] == NOT_PREDICTED).all()
            for t in range(length):
                word = by_id[int(words.ids[row, t])]
                assert task.tags[int(targets[row, t, 0])] == TAGS[word]
                spelling = int(words.spellings[row, t])
                letters = words.characters[spelling, : words.spelling_lengths[spelling]].tolist()
                assert letters in (spell(word), spell(word.capitalize()))
                seen += 1
    assert seen == sum(len(s.words) for s in TRAIN)


def test_more_values_of_a_tag_than_the_model_holds_are_an_error(
    task: TaggingTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TaggingTask, "auxiliary", {"xpos": 3, "feats": 1})
    with pytest.raises(DataError, match="the training data have 4 values of xpos, and the model holds 3"):
        next(task.train_batches(0))


@pytest.mark.usefixtures("task")
def test_rare_words_become_unknown() -> None:
    dropping = TaggingTask(SETTINGS.model_copy(update={"rarity": 1e9}))
    assert all((words.ids == 0).all() for words, _ in dropping.train_batches(0))


@torch.no_grad()
def test_predictions_are_those_of_sentences_one_by_one(task: TaggingTask) -> None:
    model = task.build_model().eval()
    sentences = task.numbered(task.sentences("train"))
    together = task.predict(model, sentences)
    for i in range(len(sentences)):
        (alone,) = task.predict(model, task.numbered(task.sentences("train")[i : i + 1]))
        np.testing.assert_array_equal(together[i], alone)


@torch.no_grad()
def test_figures_count_words_of_gold_and_of_raw_text(task: TaggingTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaggingTask, "predict", lambda _, __, s, ___=None: [np.full(len(x), 7) for x in s.ids])
    monkeypatch.setattr(ewt, "load", lambda _: [*DEV, Sentence("Can't.", tuple(_cannot()))])
    figures = task.evaluate(task.build_model(), "dev")
    nouns, words = 2, 6 + 2  # the third sentence is two words of gold, three of the tokenizer, one of them right
    assert figures["accuracy"] == pytest.approx(nouns / words)
    assert figures["words"] == words
    assert figures["raw_text_words_f1"] == pytest.approx(2 * (6 + 1) / (words + 6 + 3))
    assert figures["raw_text_upos_f1"] == pytest.approx(2 * nouns / (words + 6 + 3))


def _cannot() -> list[Word]:
    return [Word("Can't", "VERB", "", "", ""), Word(".", "PUNCT", "", "", "")]


@pytest.mark.usefixtures("task")
@pytest.mark.parametrize("bidirectional", ["true", "false"])
def test_trained_tagger_knows_words_that_it_has_seen(tmp_path: Path, bidirectional: str) -> None:
    small = [
        f"model.bidirectional={bidirectional}",
        "model.hidden_size=16",
        "model.word_size=16",
        "model.character_hidden_size=5",
        "auxiliary_weight=0.0",
        "rows=5",
        "min_count=1",
        "rarity=0.0",
        "model.dropout=0.0",
        "model.input_dropout=0.0",
        "loop.epochs=16",
        "loop.learning_rate=0.05",
        "loop.ema_decay=none",
    ]
    settings = [part for setting in small for part in ("--set", setting)]
    assert main(["tagging", "--output", str(tmp_path), *settings]) == 0
    figures = checkpoint.load(tmp_path / "best").figures["dev"]
    assert figures["accuracy"] == figures["raw_text_upos_f1"] >= 0.8  # 0.33 where all are taken for nouns
    assert (tmp_path / "best" / "confusion_dev.png").is_file()


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("tagging-*.toml")), ids=lambda file: file.stem)
def test_settings_files_over_the_taggers_can_be_used(file: Path) -> None:
    own = load(TaggingSettings, "tagging")
    assert load(TaggingSettings, "tagging", file) != own


def test_several_processes_are_refused() -> None:
    with pytest.raises(SettingsError, match="devices=1"):
        validate(TaggingSettings, {"loop": {"devices": 2}})
