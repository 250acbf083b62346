"""`python -m training diagnose`: runs the diagnosis, or parts of it, into a directory."""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from training.arguments import count, device, seconds
from training.diagnosis import plan as plans
from training.diagnosis import report
from training.diagnosis.plan import PROBLEMS, Plan
from training.diagnosis.stages import Diagnosis
from training.diagnosis.variants import VARIANTS
from training.exit_status import INTERRUPTED
from training.settings import SettingsError

STAGES = ("initial", "learning", "trained", "clipping", "report")


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line of training."""
    parser = commands.add_parser(
        "diagnose",
        help="show why plain recurrent networks fail: gradients, Jacobians, learning, clipping",
        description="Measure gradients and Jacobians over time in plain and gated networks, before and after training, "
        "on the adding and copy problems and on the data of the shipped tasks; see docs/gradients.md. Measurements "
        "that the output directory already holds are not repeated.",
    )
    parser.add_argument(
        "--quick", action="store_true", help="run a smaller plan that needs no data: about a minute on two cores"
    )
    parser.add_argument(
        "--output", type=Path, help="directory for results; default: runs/diagnose or runs/diagnose-quick"
    )
    parser.add_argument(
        "--stages", nargs="+", choices=STAGES, default=STAGES, help="stages to run, in this order; default: all"
    )
    parser.add_argument(
        "--problems", nargs="+", choices=tuple(PROBLEMS), default=(), help="problems to use; default: all of the plan"
    )
    parser.add_argument(
        "--lengths",
        nargs="+",
        type=count,
        default=(),
        metavar="T",
        help="lengths of sequences, in steps; default: all of the plan",
    )
    parser.add_argument(
        "--variants", nargs="+", choices=tuple(VARIANTS), default=(), help="networks to use; default: all of the plan"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=(1,), metavar="SEED", help="random seeds; default: 1")
    parser.add_argument(
        "--device", type=device, default="cpu", help="device to train on, such as cpu or cuda; default: cpu"
    )
    parser.add_argument("--threads", type=count, default=1, help="number of torch threads on the CPU; default: 1")
    parser.add_argument(
        "--steps", type=count, help="number of optimizer steps for each problem; default: as in the plan"
    )
    parser.add_argument(
        "--rows", type=count, help="number of sequences in each optimizer step; default: as in the plan"
    )
    parser.add_argument(
        "--max-seconds", type=seconds, help="stop training a case after this many seconds and use what it has learned"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    torch.set_num_threads(options.threads)
    output = options.output or Path("runs") / ("diagnose-quick" if options.quick else "diagnose")
    diagnosis = Diagnosis(_plan(options), output, options.device)
    run: dict[str, Callable[[], None]] = {
        "initial": diagnosis.measure_initial,
        "learning": diagnosis.learn,
        "trained": diagnosis.measure_trained,
        "clipping": diagnosis.clip,
        "report": lambda: report.write(output),
    }
    try:
        for stage in STAGES:
            if stage in options.stages:
                run[stage]()
    except KeyboardInterrupt:
        print(f"\ninterrupted: {output} holds the finished measurements; run the same command again to continue")
        return INTERRUPTED
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    plan = plans.quick() if options.quick else plans.whole()
    changes = {
        name: value for name in ("steps", "rows", "max_seconds") if (value := getattr(options, name)) is not None
    }
    chosen = plan.select(options.problems, options.lengths, options.variants, options.seeds)
    stages = [stage for stage in STAGES if stage in options.stages and stage != "report"]
    if stages and not any(chosen.cases_of(stage) for stage in stages):
        offered = [case for stage in stages for case in plan.cases_of(stage)]
        places = ", ".join(dict.fromkeys(f"{case.problem} {case.T}" for case in offered))
        variants = ", ".join(dict.fromkeys(case.variant for case in offered))
        raise SettingsError(f"the plan has no such case for {', '.join(stages)}; it has {places} by {variants}")
    return chosen.train_with(changes)
