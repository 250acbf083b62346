import torch

from training.models.bidirectional import BidirectionalLSTM, last_items, reverse_rows, unroll_lstm
from training.recurrence.cells import LSTMCell

N, T, C, H = 3, 6, 5, 7
LENGTHS = torch.tensor([6, 1, 4])


def test_rows_are_reversed_up_to_their_own_length() -> None:
    x = torch.arange(N * T).view(N, T, 1)
    assert reverse_rows(x, LENGTHS).squeeze(2).tolist() == [
        [5, 4, 3, 2, 1, 0],
        [6, 7, 8, 9, 10, 11],
        [15, 14, 13, 12, 16, 17],
    ]
    assert last_items(x, LENGTHS).squeeze(1).tolist() == [5, 6, 15]


@torch.no_grad()
def test_filled_up_rows_have_the_features_of_torchs_own_module_for_each_alone() -> None:
    torch.manual_seed(1)
    layer = BidirectionalLSTM(C, H)
    reference = torch.nn.LSTM(C, H, batch_first=True, bidirectional=True)
    weights = {
        **layer.left_to_right.state_dict(),
        **{f"{name}_reverse": weight for name, weight in layer.right_to_left.state_dict().items()},
    }
    reference.load_state_dict(weights)
    x = torch.randn(N, T, C)
    features, ends = layer(x, LENGTHS), layer.ends(x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        alone, (h, _) = reference(x[row : row + 1, :length])
        torch.testing.assert_close(features[row, :length], alone[0], rtol=0, atol=1e-6)
        torch.testing.assert_close(ends[row], h[:, 0].flatten(), rtol=0, atol=1e-6)


@torch.no_grad()
def test_unrolled_steps_equal_the_fused_module_over_carried_state() -> None:
    torch.manual_seed(1)
    lstm = torch.nn.LSTM(C, H, batch_first=True)
    x, h, c = torch.randn(N, T, C), torch.randn(N, H), torch.randn(N, H)
    expected, (h_next, c_next) = lstm(x, (h.unsqueeze(0), c.unsqueeze(0)))
    features, h, c = unroll_lstm(LSTMCell.from_torch(lstm), x, h, c)
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close((h, c), (h_next[0], c_next[0]), rtol=0, atol=1e-6)
