import torch

from training.models.dropout import LockedDropout


def test_mask_is_the_same_at_all_steps_and_another_for_each_row() -> None:
    torch.manual_seed(1)
    kept = LockedDropout(0.5).train()(torch.ones(2, 3, 64))
    assert torch.equal(kept, kept[:, :1].expand_as(kept))
    assert not torch.equal(kept[0], kept[1])
    assert set(kept.flatten().tolist()) == {0.0, 2.0}


def test_nothing_is_dropped_outside_training() -> None:
    x = torch.randn(2, 3, 5)
    assert torch.equal(LockedDropout(0.9).eval()(x), x)
