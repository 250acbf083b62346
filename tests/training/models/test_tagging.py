import pytest
import torch
from torch import Tensor

from training.models.tagging import TaggingModel, TaggingModelSettings, Words

V, TAGS, N, T, U, K = 11, 3, 2, 6, 4, 5
LENGTHS, SPELLING_LENGTHS = torch.tensor([6, 4]), torch.tensor([5, 1, 3, 2])
SIZES = TaggingModelSettings(word_size=5, character_size=4, character_hidden_size=3, hidden_size=7, layers=2)


def make_model(bidirectional: bool) -> TaggingModel:
    torch.manual_seed(1)
    settings = SIZES.model_copy(update={"bidirectional": bidirectional})
    return TaggingModel(V, TAGS, settings, {"xpos": 2}).eval()


def make_words() -> Words:
    torch.manual_seed(2)
    return Words(
        ids=torch.randint(V, (N, T)),
        lengths=LENGTHS,
        spellings=torch.randint(U, (N, T)),
        characters=torch.randint(100, (U, K)),
        spelling_lengths=SPELLING_LENGTHS,
    )


def run(model: TaggingModel, stage: str, inputs: dict[str, Tensor], name: str) -> Tensor:
    """All items of one row through a stage, in two pieces, from its initial state; backward stages in reverse."""
    state = model.initial_state(1)
    if "backward" in stage:
        inputs = {key: x.flip(1) for key, x in inputs.items()}
    parts = []
    for piece in (slice(0, 1), slice(1, None)):
        cut = {key: x[:, piece] for key, x in inputs.items()}
        if next(iter(cut.values())).shape[1]:
            outputs, written = model.unroll_stage(stage, cut, state)
            state = {**state, **written}
            parts.append(outputs[name])
    joined = torch.cat(parts, dim=1)
    return joined.flip(1) if "backward" in stage else joined


def logits_by_stages(model: TaggingModel, words: Words, row: int) -> Tensor:
    length = int(words.lengths[row])
    spelt = []
    for spelling in words.spellings[row, :length].tolist():
        characters = {"x": words.characters[spelling : spelling + 1, : words.spelling_lengths[spelling]]}
        ends = [
            run(model, s, characters, "features")[0, -1 if "forward" in s else 0] for s in model.stages if "ch" in s
        ]
        spelt.append(torch.cat(ends))
    inputs = {"x": words.ids[row : row + 1, :length], "characters": torch.stack(spelt).unsqueeze(0)}
    over_words = [stage for stage in model.stages if "characters" not in stage]
    if over_words == ["encode"]:
        return run(model, "encode", inputs, "logits")[0]
    for forward, backward in zip(over_words[:-1:2], over_words[1::2], strict=True):
        inputs = {"x": torch.cat([run(model, stage, inputs, "features") for stage in (forward, backward)], dim=2)}
    return run(model, "head", inputs, "logits")[0]


@pytest.mark.parametrize("bidirectional", [True, False])
@torch.no_grad()
def test_stages_one_after_the_other_equal_the_fused_pass_over_filled_up_rows(bidirectional: bool) -> None:
    model, words = make_model(bidirectional), make_words()
    logits, others = model(words)
    assert (logits.shape, others["xpos"].shape) == ((N, T, TAGS), (N, T, 2))
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(logits_by_stages(model, words, row), logits[row, :length], rtol=0, atol=1e-6)


def test_each_recurrent_stage_has_state_of_its_own() -> None:
    assert make_model(bidirectional=True).stages == (
        "characters_forward",
        "characters_backward",
        "forward1",
        "backward1",
        "forward2",
        "backward2",
        "head",
    )
    state = {tensor.name: tensor.shape for tensor in make_model(bidirectional=True).state}
    assert (state["characters_backward_c"], state["backward2_h"]) == (("N", 3), ("N", 7))
    assert len(state) == 12
    streaming = make_model(bidirectional=False)
    assert streaming.stages == ("characters_forward", "encode")
    assert {tensor.name: tensor.shape for tensor in streaming.state}["encode_h"] == (2, "N", 7)


@torch.no_grad()
def test_later_words_change_earlier_tags_in_both_directions_only() -> None:
    words = make_words()
    changed = words._replace(ids=torch.cat([words.ids[:, :3], (words.ids[:, 3:] + 1) % V], dim=1))
    for bidirectional in (True, False):
        model = make_model(bidirectional)
        same = torch.equal(model(words)[0][:, :3], model(changed)[0][:, :3])
        assert same is not bidirectional
