"""Compares the training speed of a minGRU, trained by a scan, and of an LSTM, trained by backpropagation through time.

    python -m bench.training                   on one CPU thread
    python -m bench.training --device cuda     on a GPU

Prints time steps per second and needs no data. A measurement is one forward and one backward pass. It is taken twice:
for whole language models, and for single layers of the same hidden size. The minGRU model is the one of
training/configs/generation-mingru.toml; the LSTM is torch's fused one, with nearly as many parameters.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid, relu

from bench.command import run_command
from bench.figure import Figure
from bench.report import line
from training import settings
from training.models.generation import GenerationModel, GenerationModelSettings
from training.models.mingru import MinGRUModel, Recurrence
from training.recurrence.mingru import MinGRUCell
from training.tasks.generation import GenerationSettings

CONFIG = Path("training/configs/generation-mingru.toml")
V = 65
RUNS = 5
Sides = dict[str, Callable[[], Tensor]]


def log_space_scan(log_a: Tensor, log_b: Tensor, log_h_0: Tensor) -> Tensor:
    """All states of a linear recurrence whose numbers are positive, from their logarithms.

        log h_t = A_t + log(h_0 + sum_{k<=t} exp(log b_k - A_k))     with A_t = sum_{k<=t} log a_k

    Heinsen 2023 (arXiv:2311.06281), as in Feng et al. 2024 (arXiv:2410.01201), appendix B.2. Two cumulative operators
    of torch; see docs/log.md for how fast they are.

    Args:
        log_a: (T, N, H).
        log_b: (T, N, H).
        log_h_0: (N, H). Minus infinity for a state of zero.

    Returns:
        The states after each step, (T, N, H), not their logarithms.
    """
    A = log_a.cumsum(dim=0)
    summands = torch.cat([log_h_0.unsqueeze(0), log_b - A])
    return (A + summands.logcumsumexp(dim=0)[1:]).exp()


def scan_in_log_space(cell: MinGRUCell, x: Tensor, h_0: Tensor) -> Tensor:
    """Compute the hidden states of `MinGRUCell.scan` by the paper's own scan (appendix B.2)."""
    k, v = torch.split(cell.project(x), cell.hidden_size, dim=-1)
    log_n = torch.where(v >= 0, (relu(v) + 0.5).log(), logsigmoid(v))
    return log_space_scan(logsigmoid(-k), logsigmoid(k) + log_n, h_0.log())


RECURRENCES: dict[str, Recurrence] = {
    "scan in blocks": MinGRUCell.scan,
    "scan in log space": scan_in_log_space,
    "step by step": MinGRUCell.step_by_step,
}


def measure(device: torch.device, rows: int, steps: int, sizes: GenerationModelSettings) -> Iterator[Figure]:
    """Measure the rates of all sides, and their ratio to the LSTM's.

    Args:
        device: Where to train.
        rows: N of a batch.
        steps: T of a batch.
        sizes: Sizes of the minGRU model.
    """
    yield from of_models(device, rows, steps, sizes)
    yield from of_layers(device, rows, steps, sizes)


def of_models(device: torch.device, rows: int, steps: int, sizes: GenerationModelSettings) -> Iterator[Figure]:
    """Measure whole models with about the same number of parameters."""
    ids = torch.randint(V, (rows, steps + 1), device=device)
    mingru = MinGRUModel(V, sizes).to(device)
    lstm = of_like_size(mingru, sizes).to(device)
    x, y = ids[:, :-1], ids[:, 1:].flatten()
    state = mingru.initial_state(rows)
    sides: Sides = {"LSTM, fused": lambda: cross_entropy(lstm(x)[0].flatten(0, 1), y)}
    for name, recurrence in RECURRENCES.items():
        sides[f"minGRU, {name}"] = lambda r=recurrence: cross_entropy(mingru.advance(x, state, r)[0].flatten(0, 1), y)  # type: ignore[misc]
    sizes_of = {model: sum(weight.numel() for weight in model.parameters()) for model in (lstm, mingru)}
    yield Figure("LSTM, parameters", sizes_of[lstm], "")
    yield Figure("minGRU, parameters", sizes_of[mingru], "")
    yield from rates(sides, device, rows, steps)


def of_layers(device: torch.device, rows: int, steps: int, sizes: GenerationModelSettings) -> Iterator[Figure]:
    """Measure one layer of each, with the same hidden size."""
    C, H = sizes.embedding_size, sizes.hidden_size
    x, h_0 = torch.randn(steps, rows, C, device=device), torch.zeros(rows, H, device=device)
    lstm, mingru = nn.LSTM(C, H).to(device), MinGRUCell(C, H).to(device)
    sides: Sides = {"a layer of LSTM, fused": lambda: lstm(x)[0].sum()}
    for name, recurrence in RECURRENCES.items():
        sides[f"a layer of minGRU, {name}"] = lambda r=recurrence: r(mingru, x, h_0).sum()  # type: ignore[misc]
    yield from rates(sides, device, rows, steps)


def rates(sides: Sides, device: torch.device, rows: int, steps: int) -> Iterator[Figure]:
    """Measure the best of RUNS passes of each side, in steps per second and as a ratio to the first side."""
    first = None
    for name, loss in sides.items():
        rate = rows * steps / seconds_a_step(loss, device)
        first = first or rate
        yield Figure(f"{name}, N={rows} T={steps}", rate, "steps/s")
        yield Figure(f"{name}, of the LSTM", rate / first, "x")


def of_like_size(model: MinGRUModel, sizes: GenerationModelSettings) -> GenerationModel:
    """Return an LSTM with as many layers and about as many parameters as a minGRU model."""
    wanted = sum(weight.numel() for weight in model.parameters())
    lstms = (
        GenerationModel(V, sizes.model_copy(update={"cell": "lstm", "hidden_size": H})) for H in range(32, 1024, 8)
    )
    return next(lstm for lstm in lstms if sum(weight.numel() for weight in lstm.parameters()) >= wanted)


def seconds_a_step(loss: Callable[[], Tensor], device: torch.device) -> float:
    """Return the seconds of the fastest of RUNS forward and backward passes, after a warm-up."""
    times = []
    for _ in range(RUNS + 1):
        _finish(device)
        started = time.perf_counter()
        torch.autograd.backward(loss())
        _finish(device)
        times.append(time.perf_counter() - started)
    return min(times[1:])


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> int:
    """Run the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", help="device to train on, cpu or cuda; default: cpu")
    parser.add_argument("--rows", type=int, default=32, help="rows of a batch (N); default: 32")
    parser.add_argument("--steps", type=int, default=256, help="steps of a batch (T); default: 256")
    parser.add_argument("--output", type=Path, help="file to write the figures to as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = settings.load(GenerationSettings, "generation", CONFIG).model
    figures = []
    for figure in measure(torch.device(options.device), options.rows, options.steps, sizes):
        print(line(figure), flush=True)
        figures.append(f"{line(figure)}\n")
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text("".join(figures), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
