import pytest
import torch
from torch import Tensor

from training.models.translation import TranslationModel, TranslationModelSettings

N, S, T, V, H, D = 3, 6, 5, 17, 4, 7
LENGTHS = torch.tensor([6, 2, 5])
SETTINGS = TranslationModelSettings(embedding_size=9, encoder_size=H, decoder_size=D)


@pytest.fixture(params=[1, 2])
def model(request: pytest.FixtureRequest) -> TranslationModel:
    """With one hop, and with two."""
    torch.manual_seed(1)
    return TranslationModel(V, SETTINGS.model_copy(update={"hops": request.param})).eval()


@pytest.fixture
def source() -> Tensor:
    return torch.randint(V, (N, S), generator=torch.Generator().manual_seed(2))


@pytest.fixture
def target() -> Tensor:
    return torch.randint(V, (N, T), generator=torch.Generator().manual_seed(3))


@torch.no_grad()
def test_padding_changes_nothing(model: TranslationModel, source: Tensor, target: Tensor) -> None:
    together = model(source, LENGTHS, target)
    for i, length in enumerate(LENGTHS.tolist()):
        alone = model(source[i : i + 1, :length], LENGTHS[i : i + 1], target[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


@torch.no_grad()
def test_steps_give_the_logits_of_the_fast_path(model: TranslationModel, source: Tensor, target: Tensor) -> None:
    expected = model(source, LENGTHS, target).log_softmax(dim=2)
    memory, state = model.encode(source, LENGTHS), model.initial_state(N)
    h1, h2 = state["decoder1_h"], state["decoder2_h"]
    for t in range(T):
        log_probs, attention, h1, h2 = model.step(target[:, t], memory, LENGTHS, h1, h2)
        torch.testing.assert_close(log_probs, expected[:, t])
        torch.testing.assert_close(attention, model.attention(source, LENGTHS, target)[:, t])
        torch.testing.assert_close(attention.sum(dim=1), torch.ones(N))
        assert all(float(row[length:].sum()) == 0 for row, length in zip(attention, LENGTHS.tolist(), strict=True))


@torch.no_grad()
def test_directions_in_pieces_give_the_memory_of_the_fast_path(model: TranslationModel, source: Tensor) -> None:
    expected = model.encode(source, LENGTHS)
    for i, length in enumerate(LENGTHS.tolist()):
        x = source[i : i + 1, :length]
        for layer in (1, 2):
            ahead = _in_pieces(model, f"forward{layer}", x)
            back = _in_pieces(model, f"backward{layer}", x.flip(1)).flip(1)
            x = torch.cat([ahead, back], dim=2)
        torch.testing.assert_close(x[0], expected[i, :length])


def _in_pieces(model: TranslationModel, stage: str, x: Tensor) -> Tensor:
    state, parts = {f"{stage}_h": torch.zeros(1, H)}, []
    for piece in x.split(2, dim=1):
        outputs, state = model.unroll_stage(stage, {"x": piece}, state)
        parts.append(outputs["features"])
    return torch.cat(parts, dim=1)


def test_later_pieces_do_not_reach_earlier_logits(model: TranslationModel, source: Tensor, target: Tensor) -> None:
    logits = model(source, LENGTHS, target)
    changed = target.clone()
    changed[:, 3] = (changed[:, 3] + 1) % V
    others = model(source, LENGTHS, changed)
    assert torch.equal(logits[:, :3], others[:, :3])
    assert not torch.equal(logits[:, 3], others[:, 3])


def test_state_is_what_the_steps_carry(model: TranslationModel) -> None:
    state = model.initial_state(2)
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {
        "forward1_h": (2, H),
        "backward1_h": (2, H),
        "forward2_h": (2, H),
        "backward2_h": (2, H),
        "decoder1_h": (2, D),
        "decoder2_h": (2, D),
    }
