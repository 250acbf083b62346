"""Scans against the loop that they replace, in float64."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.recurrence.scan import scan

N, H = 2, 3
seeds = st.integers(0, 2**31 - 1)


def draw(T: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    a, b = torch.rand(2, T, N, H, dtype=torch.float64)
    return a, b, torch.rand(N, H, dtype=torch.float64)


def step_by_step(a: Tensor, b: Tensor, h: Tensor) -> Tensor:
    states = []
    for t in range(len(a)):
        h = a[t] * h + b[t]
        states.append(h)
    return torch.stack(states)


@settings(max_examples=30, deadline=None)
@given(T=st.integers(1, 40), seed=seeds)
def test_a_scan_gives_the_states_of_the_loop(T: int, seed: int) -> None:
    a, b, h_0 = draw(T, seed)
    torch.testing.assert_close(scan(a, b, h_0), step_by_step(a, b, h_0), rtol=1e-12, atol=0)


@settings(max_examples=10, deadline=None)
@given(T=st.integers(1, 20), seed=seeds)
def test_gradients_are_those_of_backpropagation_through_time(T: int, seed: int) -> None:
    inputs = [part.requires_grad_() for part in draw(T, seed)]
    weights = torch.rand(T, N, H, dtype=torch.float64)
    found, expected = (torch.autograd.grad((f(*inputs) * weights).sum(), inputs) for f in (scan, step_by_step))
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("T", [1, 4, 7])
def test_numerical_gradients_agree(T: int) -> None:
    a, b, h_0 = (part.requires_grad_() for part in draw(T, seed=1))
    assert torch.autograd.gradcheck(scan, (a, b, h_0))


def test_what_is_forgotten_whole_is_forgotten() -> None:
    a, b, h_0 = draw(9, seed=2)
    a[5] = 0
    torch.testing.assert_close(scan(a, b, h_0), step_by_step(a, b, h_0), rtol=1e-12, atol=0)
    assert torch.equal(scan(a, b, h_0)[5], b[5])


def test_views_in_another_layout_are_scanned() -> None:
    a, b, h_0 = draw(6, seed=4)
    strided = [part.transpose(0, 1).contiguous().transpose(0, 1) for part in (a, b)]
    torch.testing.assert_close(scan(*strided, h_0), scan(a, b, h_0), rtol=0, atol=0)
