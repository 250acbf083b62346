"""Backpropagation by hand against autograd, in float64."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import jacrev
from torch.nn.functional import cross_entropy, one_hot

from training.recurrence.bptt import Gradients, Unrolled, backpropagate, state_jacobian, unroll
from training.recurrence.cells import Activation, VanillaCell


@dataclass(frozen=True)
class Problem:
    """A cell and a batch of sequences with targets."""

    cell: VanillaCell
    x: Tensor
    h_0: Tensor
    targets: Tensor

    def autograd(self, bptt_len: int | None = None) -> Gradients:
        """Gradients of the summed cross entropy, with states detached at the start of every chunk but the first."""
        h_0 = self.h_0.clone().requires_grad_()
        h, loss = h_0, torch.zeros((), dtype=torch.float64)
        for t in range(self.x.shape[1]):
            if bptt_len is not None and t > 0 and t % bptt_len == 0:
                h = h.detach()
            h = self.cell.step(self.x[:, t], h)
            loss = loss + cross_entropy(self.cell.logits(h), self.targets[:, t], reduction="sum")
        weights = dict(self.cell.named_parameters())
        found = torch.autograd.grad(loss, [*weights.values(), h_0])
        return Gradients(**dict(zip([*weights, "h_0"], found, strict=True)))

    def by_hand(self, bptt_len: int | None = None) -> Gradients:
        """The same by the module under test."""
        unrolled = unroll(self.cell, self.x, self.h_0)
        return backpropagate(self.cell, unrolled, self.logits_gradient(unrolled), bptt_len)

    def logits_gradient(self, unrolled: Unrolled) -> Tensor:
        """dL/dlogits of the summed cross entropy."""
        V = unrolled.logits.shape[-1]
        return unrolled.logits.softmax(dim=-1) - one_hot(self.targets, V)


def make_problem(
    N: int = 2, T: int = 3, C: int = 5, H: int = 7, V: int = 4, activation: Activation = "tanh", seed: int = 1
) -> Problem:
    torch.manual_seed(seed)
    return Problem(
        cell=VanillaCell(C, H, activation, output_size=V).double(),
        x=torch.randn(N, T, C, dtype=torch.float64),
        h_0=torch.rand(N, H, dtype=torch.float64),
        targets=torch.randint(V, (N, T)),
    )


def assert_same(found: Gradients, expected: Gradients) -> None:
    for name in Gradients.__dataclass_fields__:
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-11, msg=name)


problems = st.builds(
    make_problem,
    N=st.integers(1, 4),
    T=st.integers(1, 12),
    C=st.integers(1, 6),
    H=st.integers(1, 9),
    V=st.integers(2, 7),
    activation=st.sampled_from(["tanh", "relu", "sigmoid"]),
    seed=st.integers(0, 2**31 - 1),
)


@settings(max_examples=40, deadline=None)
@given(problem=problems)
def test_gradients_by_hand_are_those_of_autograd(problem: Problem) -> None:
    assert_same(problem.by_hand(), problem.autograd())


@settings(max_examples=40, deadline=None)
@given(problem=problems, bptt_len=st.integers(1, 6))
def test_truncated_gradients_are_those_of_autograd_with_detached_states(problem: Problem, bptt_len: int) -> None:
    assert_same(problem.by_hand(bptt_len), problem.autograd(bptt_len))


def test_truncation_changes_the_recurrent_gradient_but_not_the_output_layers() -> None:
    problem = make_problem(T=6)
    whole, truncated = problem.by_hand(), problem.by_hand(bptt_len=2)
    assert not torch.allclose(whole.Whh, truncated.Whh)
    assert torch.equal(whole.Why, truncated.Why)


def test_a_chunk_as_long_as_the_sequence_truncates_nothing() -> None:
    problem = make_problem(T=6)
    assert_same(problem.by_hand(bptt_len=6), problem.by_hand())


def test_one_pass_backwards_is_the_double_sum_over_products_of_jacobians() -> None:
    problem = make_problem(N=2, T=4)
    cell = problem.cell
    unrolled = unroll(cell, problem.x, problem.h_0)
    assert cell.Why is not None
    h_gradient = problem.logits_gradient(unrolled) @ cell.Why.T
    Whh = torch.zeros(7, 7, dtype=torch.float64)
    for t in range(1, 5):
        for k in range(1, t + 1):
            jacobian = state_jacobian(cell, unrolled.h, k, t)  # (N, H, H)
            arriving = (jacobian @ h_gradient[:, t - 1].unsqueeze(-1)).squeeze(-1)  # dL_t/dh_k
            delta = arriving * (1 - unrolled.h[:, k] ** 2)
            Whh += unrolled.h[:, k - 1].T @ delta
    torch.testing.assert_close(Whh, problem.by_hand().Whh, rtol=1e-9, atol=1e-11)


def test_the_state_jacobian_is_autograds() -> None:
    problem = make_problem(N=2, T=3)
    unrolled = unroll(problem.cell, problem.x, problem.h_0)

    def last_state(h_1: Tensor) -> Tensor:
        h_2 = problem.cell.step(problem.x[:, 1], h_1)
        return problem.cell.step(problem.x[:, 2], h_2)

    expected = jacrev(last_state)(unrolled.h[:, 1])  # (N, H, N, H): h_3 by h_1
    found = state_jacobian(problem.cell, unrolled.h, 1, 3)
    for n in range(2):
        torch.testing.assert_close(found[n], expected[n, :, n].T)


def test_a_cell_without_output_layer_is_refused() -> None:
    cell = VanillaCell(5, 7)
    unrolled = Unrolled(x=torch.zeros(2, 3, 5), h=torch.zeros(2, 4, 7), logits=torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match="output_size"):
        backpropagate(cell, unrolled, torch.zeros(2, 3, 4))


def test_a_chunk_of_no_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="bptt_len must be at least 1"):
        make_problem().by_hand(bptt_len=0)
