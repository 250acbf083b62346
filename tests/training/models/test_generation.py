import pytest
import torch
from pydantic import ValidationError
from torch import nn

from training.models import generation
from training.models.generation import GenerationModel, GenerationModelSettings
from training.models.streaming import StreamingModel

V, N, T, C, H = 11, 2, 6, 5, 7


def make_model(layers: int) -> GenerationModel:
    torch.manual_seed(1)
    return GenerationModel(V, GenerationModelSettings(embedding_size=C, hidden_size=H, layers=layers)).eval()


@pytest.mark.parametrize("layers", [1, 3])
@torch.no_grad()
def test_unrolled_pass_equals_the_fused_one_over_carried_state(layers: int) -> None:
    model = make_model(layers)
    unrolled = fused = model.initial_state(N)
    for _ in range(3):
        x = torch.randint(V, (N, T))
        outputs, unrolled = model.unroll(x, unrolled)
        logits, fused = model(x, fused)
        torch.testing.assert_close(outputs["logits"], logits, rtol=0, atol=1e-6)
        torch.testing.assert_close(unrolled, fused, rtol=0, atol=1e-6)
        torch.testing.assert_close(unrolled["pending_logits"], outputs["logits"][:, -1], rtol=0, atol=0)


@torch.no_grad()
def test_state_has_the_declared_names_shapes_and_types() -> None:
    model: StreamingModel = make_model(layers=3)
    fresh = model.initial_state(N)
    _, after = model.unroll(torch.randint(V, (N, T)), fresh)
    assert list(after) == [tensor.name for tensor in model.state] == ["h", "c", "pending_logits"]
    for tensor in model.state:
        assert fresh[tensor.name].shape == after[tensor.name].shape
        assert str(after[tensor.name].dtype) == f"torch.{tensor.dtype}"
    assert tuple(fresh["h"].shape) == (3, N, H)


@torch.no_grad()
def test_pending_logits_are_an_answer_and_no_input() -> None:
    model = make_model(layers=1)
    x, state = torch.randint(V, (N, T)), model.initial_state(N)
    other = state | {"pending_logits": torch.randn(N, V)}
    assert torch.equal(model.unroll(x, state)[0]["logits"], model.unroll(x, other)[0]["logits"])


def test_forget_gates_start_open_and_recurrent_weights_orthogonal() -> None:
    layer = make_model(layers=2).layers[1]
    assert isinstance(layer, nn.LSTM)
    weights = dict(layer.named_parameters())
    assert (weights["bias_ih_l0"] + weights["bias_hh_l0"]).tolist() == [0.0] * H + [1.0] * H + [0.0] * 2 * H
    gate = weights["weight_hh_l0"][:H]
    torch.testing.assert_close(gate @ gate.T, torch.eye(H))


@torch.no_grad()
def test_what_cannot_follow_has_probability_zero_in_both_passes() -> None:
    torch.manual_seed(1)
    may_follow = torch.rand(V, V) < 0.5
    may_follow[:, 0] = True
    model = GenerationModel(V, GenerationModelSettings(embedding_size=C, hidden_size=H, layers=2), may_follow).eval()
    x, state = torch.randint(V, (N, T)), model.initial_state(N)
    logits, _ = model(x, state)
    outputs, _ = model.unroll(x, state)
    torch.testing.assert_close(outputs["logits"], logits, rtol=0, atol=1e-6)
    assert torch.equal(logits.softmax(dim=2) == 0, ~may_follow[x])
    assert torch.equal((logits / 10).softmax(dim=2) == 0, ~may_follow[x])


def test_what_may_follow_is_no_weight() -> None:
    model = GenerationModel(V, GenerationModelSettings(), torch.ones(V, V, dtype=torch.bool))
    assert "successors" not in model.state_dict()


@pytest.mark.parametrize(("cell", "name", "value"), [("lstm", "kernel_size", 3), ("mingru", "forget_bias", 2.0)])
def test_a_setting_of_the_other_cell_is_refused(cell: str, name: str, value: float) -> None:
    as_ever = {"cell": cell, "forget_bias": 1.0, "kernel_size": 4, "mlp_size": 512}  # a checkpoint has all of them
    assert GenerationModelSettings.model_validate(as_ever).cell == cell
    with pytest.raises(ValidationError, match=f"{name} is for cell="):
        GenerationModelSettings.model_validate({**as_ever, name: value})


def test_a_setting_may_be_for_several_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(generation.CELL_SPECIFIC, "kernel_size", ("lstm", "mingru"))
    assert GenerationModelSettings(cell="lstm", kernel_size=3).kernel_size == 3
    monkeypatch.setitem(generation.CELL_SPECIFIC, "kernel_size", ("mingru", "peephole"))
    with pytest.raises(ValidationError, match="kernel_size is for cell=mingru or peephole and has no effect on lstm"):
        GenerationModelSettings(cell="lstm", kernel_size=3)
