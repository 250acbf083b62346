import pytest
import torch

from training.models.dropout import LockedDropout
from training.models.generation import GenerationModelSettings
from training.models.mingru import MinGRUModel, _dropped
from training.models.streaming import StreamingModel

V, N, T, D, H, K = 11, 2, 6, 5, 7, 3


def make_model(layers: int) -> MinGRUModel:
    torch.manual_seed(1)
    settings = GenerationModelSettings(
        cell="mingru", embedding_size=D, hidden_size=H, layers=layers, kernel_size=K, mlp_size=8
    )
    model = MinGRUModel(V, settings).eval()
    for layer in model.layers:
        torch.nn.init.normal_(layer.get_parameter("taps"))
    return model


@pytest.mark.parametrize("layers", [1, 3])
@torch.no_grad()
def test_unrolled_pass_equals_the_scan_over_carried_state(layers: int) -> None:
    model = make_model(layers)
    unrolled = scanned = model.initial_state(N)
    for length in (T, 1, 2):
        x = torch.randint(V, (N, length))
        outputs, unrolled = model.unroll(x, unrolled)
        logits, scanned = model(x, scanned)
        torch.testing.assert_close(outputs["logits"], logits, rtol=0, atol=1e-5)
        torch.testing.assert_close(unrolled, scanned, rtol=0, atol=1e-5)
        torch.testing.assert_close(unrolled["pending_logits"], outputs["logits"][:, -1], rtol=0, atol=0)


@torch.no_grad()
def test_any_cut_of_a_text_gives_the_same_answers() -> None:
    model = make_model(layers=2)
    x = torch.randint(V, (N, T))
    whole, _ = model(x)
    first, state = model(x[:, :2])
    second, _ = model(x[:, 2:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_later_characters_do_not_change_earlier_answers() -> None:
    model = make_model(layers=2)
    x = torch.randint(V, (N, T))
    torch.testing.assert_close(model(x[:, :4])[0], model(x)[0][:, :4], rtol=0, atol=1e-5)


@torch.no_grad()
def test_state_has_the_declared_names_shapes_and_types() -> None:
    model: StreamingModel = make_model(layers=3)
    fresh = model.initial_state(N)
    _, after = model.unroll(torch.randint(V, (N, T)), fresh)
    assert list(after) == [tensor.name for tensor in model.state] == ["h", "past", "pending_logits"]
    for tensor in model.state:
        assert fresh[tensor.name].shape == after[tensor.name].shape
        assert str(after[tensor.name].dtype) == f"torch.{tensor.dtype}"
    assert tuple(fresh["past"].shape) == (3 * (K - 1), N, D)


def test_dropout_masks_are_the_same_at_all_steps() -> None:
    kept = _dropped(LockedDropout(0.5).train(), torch.ones(T * N, D), T).view(T, N, D)
    assert torch.equal(kept, kept[:1].expand_as(kept))
    assert set(kept.flatten().tolist()) == {0.0, 2.0}


def test_gradients_reach_every_weight() -> None:
    model = make_model(layers=2).train()
    x = torch.randint(V, (N, T))
    logits, _ = model(x, model.initial_state(N))
    logits.sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())
