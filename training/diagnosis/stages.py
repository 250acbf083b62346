"""Runs a plan, stage by stage: measure fresh networks, learn, measure trained ones, clip. Each stage leaves files.

output/initial/CASE.csv, output/trained/CASE.csv     gradient norms and singular values over t
output/learning/CASE.csv, output/weights/CASE...     error over steps; the trained weights
output/clipping/CASE.csv                             loss and gradient norm of every step
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

import safetensors.torch
import torch
from torch import Generator
from tqdm import tqdm  # type: ignore[import-untyped]

from training.checkpoint import replace_file
from training.diagnosis.clipping import descend
from training.diagnosis.gradient_norms import gradient_norms
from training.diagnosis.jacobians import largest_singular_values, step_jacobians
from training.diagnosis.learning import Row as LearningRow
from training.diagnosis.learning import learn
from training.diagnosis.network import Network, build
from training.diagnosis.plan import PROBLEMS, Case, ClippingCase, Plan
from training.diagnosis.problems import Problem
from training.diagnosis.results import Row, write_csv
from training.diagnosis.variants import VARIANTS

AnyCase = TypeVar("AnyCase", Case, ClippingCase)

MEASURED_SEED = 20_000_003  # of the sequences that gradients are measured on


class Diagnosis:
    """Runs a plan.

    Args:
        plan: Cases and settings.
        output: Directory of the run.
        device: Device that networks learn on. Gradients are always measured on the CPU, in float64.
    """

    def __init__(self, plan: Plan, output: Path, device: torch.device) -> None:
        self._plan = plan
        self._output = output
        self._device = device

    def measure_initial(self) -> None:
        """Measure gradient norms and Jacobians of fresh networks."""
        for case, path in self._open("initial", self._plan.measured, "measuring fresh networks"):
            write_csv(path, self._measure(case, self._build(case)))

    def learn(self) -> None:
        """Train networks, and keep their curves and weights."""
        for case, path in self._open("learning", self._plan.learned, "learning"):
            network = self._build(case).to(self._device)
            settings = self._plan.settings_of(case)
            with tqdm(total=settings.steps, desc=case.name, unit="step", leave=False, disable=None) as bar:
                rows = learn(network, make_problem(case.problem, case.T), settings, case.seed, _shown_on(bar))
            weights = self._weights(case)
            weights.parent.mkdir(parents=True, exist_ok=True)
            state = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
            replace_file(weights, safetensors.torch.save(state))
            write_csv(path, [{**case.columns(), **row} for row in rows])
            tqdm.write(f"{case.name}: error {rows[-1]['error']:.3g} after {rows[-1]['step']:.0f} steps")

    def measure_trained(self) -> None:
        """Measure gradient norms and Jacobians of the networks that `learn` has trained."""
        trained = [case for case in self._plan.learned if self._weights(case).is_file()]
        for case, path in self._open("trained", trained, "measuring trained networks"):
            network = self._build(case)
            network.load_state_dict(safetensors.torch.load_file(self._weights(case)))
            if all(parameter.isfinite().all() for parameter in network.parameters()):
                write_csv(path, self._measure(case, network))

    def clip(self) -> None:
        """Run plain gradient descent with and without clipping."""
        for case, path in self._open("clipping", self._plan.clipped, "clipping"):
            problem = make_problem("adding", case.T)
            network = build(VARIANTS[case.variant], problem, self._plan.hidden_size, seed=1).to(self._device)
            rows = descend(network, problem, self._plan.descent, case.clip_grad_norm, seed=1)
            identity: Row = {"variant": case.variant, "T": case.T, "clip_grad_norm": case.clip_grad_norm or "none"}
            write_csv(path, [{**identity, **row} for row in rows])

    def _open(self, stage: str, cases: Sequence[AnyCase], description: str) -> Iterator[tuple[AnyCase, Path]]:
        """Yield the cases of a stage that have no file yet, each with the path of its file."""
        files = [(case, self._output / stage / f"{case.name}.csv") for case in cases]
        missing = [(case, path) for case, path in files if not path.is_file()]
        yield from tqdm(missing, desc=description, unit="case", disable=None)

    def _build(self, case: Case) -> Network:
        return build(VARIANTS[case.variant], make_problem(case.problem, case.T), self._plan.hidden_size, case.seed)

    def _weights(self, case: Case) -> Path:
        return self._output / "weights" / f"{case.name}.safetensors"

    def _measure(self, case: Case, network: Network) -> list[Row]:
        problem = make_problem(case.problem, case.T)
        x, y = problem.draw(self._plan.rows, Generator().manual_seed(MEASURED_SEED))
        network = network.double()
        x = x if problem.is_token else x.double()
        y = y.double() if y.is_floating_point() else y
        rows = list(self._norm_rows(network, problem, x, y)) + list(self._jacobian_rows(network, x))
        return [{**case.columns(), **row} for row in rows]

    def _norm_rows(self, network: Network, problem: Problem, x: torch.Tensor, y: torch.Tensor) -> Iterator[Row]:
        for name, norms in gradient_norms(network, problem, x, y).items():
            for t in spread(1, problem.length, self._plan.points):
                yield {"quantity": f"gradient_{name}", "t": t, "value": float(norms[t - 1])}

    @torch.no_grad()
    def _jacobian_rows(self, network: Network, x: torch.Tensor) -> Iterator[Row]:
        cell, inputs = network.cell(), network.embed(x[: self._plan.jacobian_rows])
        T = inputs.shape[1]
        lags = spread(0, T, self._plan.points)
        found = [largest_singular_values(step_jacobians(cell, row), lags) for row in inputs]
        for i, lag in enumerate(lags):
            mean = sum(values[i] for values in found) / len(found)
            yield {"quantity": "log10_singular_value", "t": T - lag, "value": mean}


@cache
def make_problem(name: str, T: int) -> Problem:
    """Make a problem by name. Real data are loaded once."""
    return PROBLEMS[name](T)


def spread(first: int, last: int, points: int) -> list[int]:
    """At most `points` distinct whole numbers from first to last, both included, evenly spaced."""
    return sorted({first + round(i * (last - first) / (points - 1)) for i in range(points)})


def _shown_on(bar: "tqdm[None]") -> Callable[[LearningRow], None]:
    def show(row: LearningRow) -> None:
        bar.set_postfix(error=f"{row['error']:.4g}", refresh=False)
        bar.update(int(row["step"]) - bar.n)

    return show
