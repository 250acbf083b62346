import torch

from training.models.streaming import StateTensor, by_step


def test_fresh_state_has_the_declared_shape_type_and_value() -> None:
    fresh = StateTensor("pool_max", "float64", (3, "N", 7), initial=-1.0).allocate(2)
    assert fresh.dtype == torch.float64
    torch.testing.assert_close(fresh, torch.full((3, 2, 7), -1.0, dtype=torch.float64))


def test_counters_may_be_integers() -> None:
    assert StateTensor("filled", "int64", ("N",)).allocate(2).tolist() == [0, 0]


def test_rows_of_a_step_stand_together() -> None:
    steps = torch.arange(2 * 3 * 5).view(3, 2, 5)  # T, N, C
    torch.testing.assert_close(by_step(torch.cat(steps.unbind()), 3), steps)
