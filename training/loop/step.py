"""One optimizer step, by one process or by several that share the rows of a batch."""

import math

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from training.loop.run import Run, TrainingError
from training.loop.schedule import learning_rate
from training.loop.throughput import count_flops
from training.tasks.task import Batch, Carry


def take_step(run: Run, batch: Batch, carry: Carry) -> tuple[float, float, Carry]:
    """Take one optimizer step, all processes together.

    Returns:
        The loss of the whole batch, the gradient's norm before clipping, and the detached carry of this process's rows.

    Raises:
        TrainingError: The loss or its gradient is not finite. Raised in all processes, whichever it comes from.
    """
    loop = run.task.settings.loop
    for group in run.optimizer.param_groups:
        group["lr"] = group["scale"] * learning_rate(run.progress.step, run.total_steps, loop)
    rows, weight = shard(run, batch)
    own_loss, carry = run.task.loss(run.model, run.fabric.to_device(rows), carry)
    run.fabric.backward(own_loss * weight)  # processes average their gradients
    counted = own_loss.detach() * weight if weight else torch.zeros_like(own_loss)  # a mean of no targets is NaN
    loss = torch.as_tensor(run.fabric.all_reduce(counted, reduce_op="mean")).item()
    norm = run.fabric.clip_gradients(run.model, run.optimizer, max_norm=loop.clip_grad_norm, error_if_nonfinite=False)
    grad_norm = float(norm or 0.0)
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        what = f"loss is {loss} at step {run.progress.step}, the norm of its gradient {grad_norm}"
        raise TrainingError(f"{what}: lower loop.learning_rate")
    run.optimizer.step()
    run.optimizer.zero_grad()
    if run.average is not None:
        run.average.update_parameters(run.model.module)
    run.progress.step += 1
    return loss, grad_norm, detach(carry)


def detach(carry: Carry) -> Carry:
    """Detach the carried state from the graph of earlier steps (truncated backpropagation through time)."""
    return tree_map_only(Tensor, Tensor.detach, carry)


def count_batch(run: Run, batch: Batch) -> int:
    """Count the floating-point operations of a step's matrix products, without changing parameters."""

    def passes() -> None:
        loss, _ = run.task.loss(run.model, run.fabric.to_device(batch), None)
        run.fabric.backward(loss)

    flops = count_flops(passes)
    run.optimizer.zero_grad()
    return flops


def shard(run: Run, batch: Batch) -> tuple[Batch, float]:
    """Take this process's rows of a batch.

    Returns:
        The rows, and the weight that makes the mean of all processes' losses the loss of the whole batch.
    """
    rank, processes = run.fabric.global_rank, run.fabric.world_size
    if processes == 1:
        return batch, 1.0
    if rank >= _num_rows(batch):
        return tree_map_only(Tensor, lambda tensor: tensor[:1], batch), 0.0  # all processes must take part in a step
    rows = tree_map_only(Tensor, lambda tensor: tensor[rank::processes], batch)
    return rows, processes * run.task.loss_weight(rows, batch)


def _num_rows(batch: Batch) -> int:
    return next(len(leaf) for leaf in tree_leaves(batch) if isinstance(leaf, Tensor))
