import pytest
import torch

from training.models.bidirectional_sentiment import BidirectionalSentimentModel, BidirectionalSentimentModelSettings

V, N, T, C, H = 11, 3, 6, 5, 7
LENGTHS = torch.tensor([6, 1, 4])


def make_model(layers: int) -> BidirectionalSentimentModel:
    torch.manual_seed(1)
    settings = BidirectionalSentimentModelSettings(embedding_size=C, hidden_size=H, layers=layers)
    model = BidirectionalSentimentModel(V, settings).eval()
    torch.nn.init.normal_(model.embedding.weight)
    return model


@pytest.mark.parametrize("layers", [1, 2])
@torch.no_grad()
def test_stages_one_after_the_other_equal_the_fused_pass_over_filled_up_rows(layers: int) -> None:
    model = make_model(layers)
    x = torch.randint(V, (N, T))
    logits = model(x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        features, state = x[row : row + 1, :length], model.initial_state(1)
        for layer in range(1, layers + 1):
            there, written = model.unroll_stage(f"forward{layer}", {"x": features}, state)
            back, _ = model.unroll_stage(f"backward{layer}", {"x": features.flip(1)}, state)
            assert list(written) == [f"forward{layer}_h", f"forward{layer}_c"]
            features = torch.cat([there["features"], back["features"].flip(1)], dim=2)
        judged, state = model.unroll_stage("head", {"x": features[:, :1]}, state)
        if length > 1:
            judged, state = model.unroll_stage("head", {"x": features[:, 1:]}, state)
        torch.testing.assert_close(judged["logits"][0, -1], logits[row], rtol=0, atol=1e-6)
        assert state["pool_count"].tolist() == [[length]]


def test_stages_and_state_are_named_by_direction_and_layer() -> None:
    model = make_model(layers=2)
    assert model.stages == ("forward1", "backward1", "forward2", "backward2", "head")
    assert [tensor.name for tensor in model.state[-5:]] == [
        "backward2_h",
        "backward2_c",
        "pool_max",
        "pool_sum",
        "pool_count",
    ]
