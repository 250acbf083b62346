"""The plan of a diagnosis: cases of problem, length, network and seed, and settings of learning."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

from training.diagnosis.clipping import DescentSettings
from training.diagnosis.learning import LearningSettings
from training.diagnosis.problems import Adding, Copying, Problem
from training.diagnosis.variants import VARIANTS
from training.diagnosis.windows import Characters, Readings, Words

PROBLEMS: Mapping[str, Callable[[int], Problem]] = {
    "adding": Adding,
    "copying": Copying,
    "words": Words,
    "characters": Characters,
    "readings": Readings,
}
# Of the shipped tasks: a long sentence, the generation task's bptt_len, a week of hours.
WINDOWS = {"words": 25, "characters": 128, "readings": 168}


@dataclass(frozen=True)
class Case:
    """One network on one problem."""

    problem: str
    T: int
    variant: str
    seed: int = 1

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.problem}-{self.T}-{self.variant}-{self.seed}"

    def columns(self) -> dict[str, str | int]:
        """The columns that identify it in a table."""
        return {"problem": self.problem, "T": self.T, "variant": self.variant, "seed": self.seed}

    @classmethod
    def of(cls, row: Mapping[str, str]) -> "Case":
        """The case of a table's row."""
        return cls(row["problem"], int(row["T"]), row["variant"], int(row["seed"]))

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Sort key: problems and variants in the order of their lists, short before long."""
        return list(PROBLEMS).index(self.problem), self.T, list(VARIANTS).index(self.variant), self.seed


@dataclass(frozen=True)
class ClippingCase:
    """Plain gradient descent on the adding problem. Gradients are not clipped if `clip_grad_norm` is None."""

    problem: ClassVar[str] = "adding"
    variant: str
    T: int
    clip_grad_norm: float | None

    @property
    def name(self) -> str:
        """Name of its file."""
        clip = "none" if self.clip_grad_norm is None else f"{self.clip_grad_norm:g}"
        return f"{self.variant}-{self.T}-clip-{clip}"


@dataclass(frozen=True)
class Plan:
    """A whole diagnosis.

    Args:
        hidden_size: H of every network.
        measured: Cases that are measured before training.
        learned: Cases that are trained, and measured afterwards.
        clipped: Cases of plain gradient descent.
        learning: Settings of learning by problem.
        descent: Settings of plain gradient descent.
        rows: Number of sequences that gradient norms are averaged over.
        jacobian_rows: Number of sequences that Jacobians are multiplied along.
        points: Most points of a curve.
    """

    hidden_size: int
    measured: tuple[Case, ...]
    learned: tuple[Case, ...]
    clipped: tuple[ClippingCase, ...]
    learning: Mapping[str, LearningSettings]
    descent: DescentSettings
    rows: int = 32
    jacobian_rows: int = 2
    points: int = 61

    def select(
        self, problems: Collection[str], lengths: Collection[int], variants: Collection[str], seeds: Collection[int]
    ) -> "Plan":
        """Select cases by problem, length and variant, and repeat them for each seed; those of clipping have none.

        Empty selects all.
        """

        def is_chosen(case: Case | ClippingCase) -> bool:
            return (
                (not problems or case.problem in problems)
                and (not lengths or case.T in lengths)
                and (not variants or case.variant in variants)
            )

        def chosen(cases: Iterable[Case]) -> tuple[Case, ...]:
            kept = list(filter(is_chosen, cases))
            return tuple(replace(case, seed=seed) for seed in (seeds or (1,)) for case in kept)

        clipped = tuple(filter(is_chosen, self.clipped))
        return replace(self, measured=chosen(self.measured), learned=chosen(self.learned), clipped=clipped)

    def cases_of(self, stage: str) -> Sequence[Case | ClippingCase]:
        """The cases of "initial", "learning", "trained" or "clipping"."""
        match stage:
            case "initial":
                return self.measured
            case "learning" | "trained":
                return self.learned
            case "clipping":
                return self.clipped
        raise ValueError(f"{stage} has no cases")

    def settings_of(self, case: Case) -> LearningSettings:
        """Settings of learning of a case."""
        settings = self.learning[case.problem]
        return replace(settings, learning_rate=settings.learning_rate * VARIANTS[case.variant].learning_rate_scale)

    def train_with(self, changes: Mapping[str, float | None]) -> "Plan":
        """Replace settings of learning."""
        learning = {name: replace(settings, **changes) for name, settings in self.learning.items()}  # type: ignore[arg-type]
        return replace(self, learning=learning)


def whole() -> Plan:
    """The plan of docs/gradients.md, which says how much of it was run."""
    windows = cases(WINDOWS.items())
    return Plan(
        hidden_size=128,
        measured=cases(product(("adding", "copying"), (50, 100, 200, 400, 600))) + windows,
        learned=cases([("adding", 50), ("adding", 200), ("adding", 600), ("copying", 50), ("copying", 200)]) + windows,
        clipped=clipping_cases(T=100),
        learning={
            "adding": LearningSettings(steps=3000, rows=64, learning_rate=5e-3),
            "copying": LearningSettings(steps=3000, rows=64, learning_rate=2e-3),
            **dict.fromkeys(WINDOWS, LearningSettings(steps=400, rows=64, learning_rate=2e-3)),
        },
        descent=DescentSettings(),
    )


def quick() -> Plan:
    """A first look within about a minute on two cores: shorter, narrower, and no data are needed."""
    return Plan(
        hidden_size=48,
        measured=cases([("adding", 50), ("adding", 200), ("copying", 50)]),
        learned=cases([("adding", 50)], ("tanh", "lstm-1", "gru")),
        clipped=clipping_cases(T=50),
        learning={"adding": LearningSettings(steps=500, rows=32, learning_rate=1e-2)},
        descent=DescentSettings(steps=100, rows=32),
        rows=16,
        jacobian_rows=1,
        points=31,
    )


def cases(problems: Iterable[tuple[str, int]], variants: Collection[str] = tuple(VARIANTS)) -> tuple[Case, ...]:
    """Every variant on every (problem, T)."""
    return tuple(Case(problem, T, variant) for (problem, T), variant in product(problems, variants))


def clipping_cases(T: int) -> tuple[ClippingCase, ...]:
    """The networks whose gradients can explode, with and without clipping."""
    return tuple(ClippingCase(variant, T, clip) for variant, clip in product(("irnn", "orthogonal"), (None, 1.0)))
