"""Whether a task can be learnt at all."""

from typing import Any

import numpy as np
import torch

from training.tasks.task import Task

STEPS = 12


def assert_learns(task: Task[Any]) -> None:
    """A few steps on one batch lower its loss, and every parameter has a part in it."""
    torch.manual_seed(0)
    model, losses = task.build_model(), []
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    batch = next(task.train_batches(0))
    for _ in range(STEPS):
        loss, _ = task.loss(model, batch, None)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    idle = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []
