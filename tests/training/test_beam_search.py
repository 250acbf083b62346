import itertools
import math

import pytest
import torch
from torch import Tensor

from training.beam_search import BeamSettings, Hypothesis, max_length, pad, translate
from training.models.translation import TranslationModel, TranslationModelSettings
from training.text.subwords import END_ID, START_ID

V = 5
SOURCES = [[3, 4, 3], [4], [3, 3]]


@pytest.fixture
def model() -> TranslationModel:
    torch.manual_seed(4)
    model = TranslationModel(V, TranslationModelSettings(embedding_size=6, encoder_size=4, decoder_size=7)).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False).mul_(2.0)  # a peaked model, whose hypotheses differ
    return model


def log_prob(model: TranslationModel, source: list[int], ids: tuple[int, ...]) -> float:
    """Of a whole translation, [END] included."""
    target = torch.tensor([[START_ID, *ids]])
    logits: Tensor = model(torch.tensor([source]), torch.tensor([len(source)]), target)
    labels = torch.tensor([[*ids, END_ID]])
    return float(logits.log_softmax(dim=2).gather(2, labels.unsqueeze(2)).sum())


def every_translation(model: TranslationModel, source: list[int], longest: int, penalty: float) -> list[Hypothesis]:
    """All translations of at most `longest` pieces without [END], the best first."""
    pieces = [piece for piece in range(V) if piece != END_ID]
    everything = (ids for length in range(longest + 1) for ids in itertools.product(pieces, repeat=length))
    found = [Hypothesis(ids, log_prob(model, source, ids) / (len(ids) + 1) ** penalty) for ids in everything]
    return sorted(found, key=lambda one: -one.score)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_score_is_that_of_the_model(model: TranslationModel, penalty: float) -> None:
    settings = BeamSettings(beams=3, length_penalty=penalty)
    model.output_bias[END_ID] += 3.0  # so that all translations end
    for source, found in zip(SOURCES, translate(model, SOURCES, settings), strict=True):
        assert len(found.ids) < max_length(len(source))
        expected = log_prob(model, source, found.ids) / (len(found.ids) + 1) ** penalty
        assert found.score == pytest.approx(expected, rel=1e-4)


def test_wide_search_finds_the_most_probable_of_all_translations(model: TranslationModel) -> None:
    model.output_bias[END_ID] += 3.0  # short translations, so that all of them can be tried
    for source in SOURCES:
        best = every_translation(model, source, 4, 0.0)[0]
        (found,) = translate(model, [source], BeamSettings(beams=8, length_penalty=0.0))
        assert found.ids == best.ids
        assert found.score == pytest.approx(best.score, rel=1e-4)


def test_one_beam_takes_the_most_probable_piece_each_time(model: TranslationModel) -> None:
    for source, found in zip(SOURCES, translate(model, SOURCES, BeamSettings(beams=1)), strict=True):
        ids: list[int] = []
        while len(ids) < max_length(len(source)):
            target = torch.tensor([[START_ID, *ids]])
            best = int(model(torch.tensor([source]), torch.tensor([len(source)]), target)[0, -1].argmax())
            if best == END_ID:
                break
            ids.append(best)
        assert found.ids == tuple(ids)


def test_company_changes_no_translation(model: TranslationModel) -> None:
    settings = BeamSettings(beams=2)
    alone = [translate(model, [source], settings)[0] for source in SOURCES]
    together = translate(model, SOURCES, settings)
    assert [found.ids for found in together] == [found.ids for found in alone]
    assert [found.score for found in together] == pytest.approx([found.score for found in alone], rel=1e-5)


def test_translation_that_does_not_end_is_cut(model: TranslationModel) -> None:
    model.output_bias[END_ID] -= 100.0
    (found,) = translate(model, [[3, 4]], BeamSettings(beams=2))
    assert len(found.ids) == max_length(2)


def test_length_counts_as_the_penalty_says() -> None:
    assert BeamSettings(length_penalty=0.0).score(-6.0, 4) == -6.0
    assert BeamSettings(length_penalty=1.0).score(-6.0, 4) == -1.5
    assert BeamSettings(length_penalty=0.5).score(-6.0, 4) == pytest.approx(-6.0 / math.sqrt(4))


def test_rows_are_filled_up() -> None:
    assert pad([[1, 2, 3], [4]], 9).tolist() == [[1, 2, 3], [4, 9, 9]]
