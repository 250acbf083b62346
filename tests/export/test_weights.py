"""What a model becomes before it is traced."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn

from export.errors import NotFinite
from export.weights import prepare, rounded
from tests.export.conftest import MODEL
from training.models.generation import GenerationModel, GenerationModelSettings
from training.models.sentiment import SentimentModel, SentimentModelSettings
from training.models.streaming import StreamingModel
from training.recurrence.cells import GRUCell, LSTMCell


def make(task: str) -> nn.Module:
    torch.manual_seed(2)
    if task == "sentiment":
        return SentimentModel(13, SentimentModelSettings.model_validate({**MODEL, "layers": 2})).eval()
    return GenerationModel(11, GenerationModelSettings.model_validate({**MODEL, "layers": 2})).eval()


def logits(model: nn.Module) -> Tensor:
    streaming = cast(StreamingModel, model)
    x = torch.arange(2 * 5).reshape(2, 5)
    outputs, _ = streaming.unroll(x, streaming.initial_state(2))
    return outputs["logits"]


@pytest.mark.parametrize("task", ["sentiment", "generation"])
def test_a_prepared_model_unrolls_as_the_rounded_one_does(task: str) -> None:
    model = make(task)
    assert torch.equal(logits(prepare(model)), logits(rounded(model)))


@pytest.mark.parametrize("task", ["sentiment", "generation"])
def test_rounding_changes_the_answers_but_little(task: str) -> None:
    model = make(task)
    torch.testing.assert_close(logits(rounded(model)), logits(model), rtol=0, atol=2e-3)
    assert not torch.equal(logits(rounded(model)), logits(model))


@pytest.mark.parametrize(("task", "cell"), [("sentiment", GRUCell), ("generation", LSTMCell)])
def test_a_prepared_model_has_cells_instead_of_torchs_fused_modules(task: str, cell: type[nn.Module]) -> None:
    modules = list(prepare(make(task)).modules())
    assert sum(isinstance(module, cell) for module in modules) == 2
    assert not any(isinstance(module, nn.RNNBase) for module in modules)


def test_matrices_are_rounded_to_the_nearest_float16_and_vectors_are_not() -> None:
    model = make("generation")
    with torch.no_grad():
        model.get_submodule("head").get_parameter("bias").fill_(0.1)
    found = dict(rounded(model).named_parameters())
    for name, weight in model.named_parameters():
        expected = weight.half().float() if weight.ndim > 1 else weight
        assert torch.equal(found[name], expected)
    assert found["head.bias"][0] == torch.tensor(0.1)


def test_weights_that_float16_cannot_hold_are_told() -> None:
    model = make("generation")
    head = model.get_submodule("head")
    with torch.no_grad():
        head.get_parameter("bias").fill_(1e5)
        prepare(model)
        head.get_parameter("weight")[0, 0] = -1e5
    with pytest.raises(NotFinite, match=r"^head\.weight has a weight of size 100000; .* ends at 65,504$"):
        prepare(model)
    with torch.no_grad():
        head.get_parameter("weight")[0, 0] = float("nan")
    with pytest.raises(NotFinite, match=r"^head\.weight has a weight that is not a finite number$"):
        prepare(model)


def test_the_model_itself_is_left_as_it_was() -> None:
    model = make("generation")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    prepare(model)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_stack_in_one_module_is_refused() -> None:
    with pytest.raises(ValueError, match="not one cell"):
        prepare(nn.Sequential(nn.LSTM(5, 7, num_layers=2)))
