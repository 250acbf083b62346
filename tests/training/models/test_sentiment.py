import pytest
import torch

from training.models.sentiment import SentimentModel, SentimentModelSettings
from training.models.streaming import StreamingModel

V, N, T, C, H = 11, 2, 6, 5, 7


def make_model(layers: int) -> SentimentModel:
    torch.manual_seed(1)
    model = SentimentModel(V, SentimentModelSettings(embedding_size=C, hidden_size=H, layers=layers)).eval()
    torch.nn.init.normal_(model.embedding.weight)
    return model


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
        torch.testing.assert_close(unrolled, fused, rtol=0, atol=1e-5)


@torch.no_grad()
def test_state_has_the_declared_names_shapes_and_types() -> None:
    model: StreamingModel = make_model(layers=3)
    fresh = model.initial_state(N)
    _, after = model.unroll(torch.randint(V, (N, T)), fresh)
    assert list(after) == [tensor.name for tensor in model.state] == ["h", "pool_max", "pool_sum", "pool_count"]
    for tensor in model.state:
        assert fresh[tensor.name].shape == after[tensor.name].shape
        assert str(after[tensor.name].dtype) == f"torch.{tensor.dtype}"


@torch.no_grad()
def test_pools_are_those_of_all_words_so_far() -> None:
    model = make_model(layers=1)
    x = torch.randint(V, (N, T))
    _, state = model.unroll(x[:, :2], model.initial_state(N))
    _, state = model.unroll(x[:, 2:], state)
    y, _ = model.layers[0](model.embedding(x))
    torch.testing.assert_close(state["pool_max"], y.amax(dim=1))
    torch.testing.assert_close(state["pool_sum"], y.sum(dim=1))
    assert state["pool_count"].tolist() == [[T]] * N


@torch.no_grad()
def test_later_words_do_not_change_earlier_answers() -> None:
    model = make_model(layers=2)
    x = torch.randint(V, (N, T))
    whole, _ = model(x)
    torch.testing.assert_close(model(x[:, :4])[0], whole[:, :4])
