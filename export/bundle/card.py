"""The model card of a bundle, its README.md: purpose, figures, data, licences, graphs and proof of parity."""

import shlex
from pathlib import Path

from export.proof.report import Report
from export.recipes.registry import recipe
from service.bundle.manifest import MANIFEST_FILE, Figure, Manifest, TrainingData
from service.bundle.stage import Stage, TensorSpec
from training.checkpoint import training_of
from training.data.source import is_own
from training.own.registry import run_directory

# Titles of the figures' columns, by numerics and by `Figure.of`. float32 is measured in torch.
FIGURES = {
    "float32": {"checkpoint": "checkpoint", "seeds": "seeds", "graph": "rounded weights"},
    "int8": {"checkpoint": "checkpoint", "seeds": "seeds", "float32": "float32 graphs", "graph": "int8 graphs"},
}
ALWAYS_SHOWN = ("checkpoint", "graph")
SEEDS = (
    '"Seeds" are mean and standard deviation of the checkpoints of {runs} runs that differ in their seed only; '
    "this bundle is one of them."
)
CHOSEN = "Training keeps the epoch that is best on {split}, so figures on {split} may be better than on unseen data."
CHOSEN_ONLY = " No other split was measured."
EXPLAINED = {
    "float32": '"Rounded weights" are those of the graphs, measured in torch: graphs are proved to give its numbers.',
    "int8": '"Int8 graphs" are those of this bundle, "float32 graphs" those that they were made from, both run by '
    "onnxruntime.",
}
NUMERICS = {
    "float32": "Matrices are stored as float16 in one file for all graphs and computed with as float32; parity was "
    "proved on the rounded weights.",
    "int8": "Products whose inputs lie in a range known by construction are of uint8 inputs and int8 weights of 7 "
    "bits, with constant scales; sums of integers are exact on every processor. All else is float32, its matrices "
    "stored as float16.",
}
DESCRIPTIONS = ("README.md", MANIFEST_FILE)  # files that describe the others and do not count towards the size


def render(manifest: Manifest, report: Report, directory: Path) -> str:
    """Write the card of a bundle.

    Args:
        manifest: The bundle's manifest.
        report: Its proof of parity.
        directory: Where its files are.

    Returns:
        The card, in Markdown.
    """
    size = sum(path.stat().st_size for path in directory.iterdir() if path.name not in DESCRIPTIONS)
    sections = [
        f"# {manifest.name}",
        recipe(manifest.task.kind).purpose(manifest),
        f"An Unrolled bundle: a trained {manifest.cell.upper()} as unrolled ONNX graphs with explicit state, "
        f"{size / 1e6:.1f} MB. `manifest.json` says all of this to machines.",
        "## Figures\n\n" + _figures(manifest),
        "## Data\n\n" + ("\n".join(map(_data, manifest.data)) or "Not stated."),
        f"Licence of the weights: {manifest.licence}.",
        f"## How it was made\n\n```\n{manifest.command}\n{export_command(manifest)}\n```",
        "## Graphs\n\n" + "\n".join(map(_stage, manifest.stages)),
        f"State of a sequence: {', '.join(map(_tensor, manifest.state))}. {NUMERICS[manifest.numerics]}",
        "## Parity\n\n" + _parity(report),
    ]
    return "\n\n".join(sections) + "\n"


def export_command(manifest: Manifest) -> str:
    """Return the command that exports the bundle again, from the run that its training command writes.

    The training command must not set another output; for weights that were trained elsewhere, the run is CHECKPOINT.
    Omits --rungs, since the card lists the ladders, and --seed, --output and --replace-shipped.
    """
    training = training_of(manifest.command)
    learned_from_own = any(is_own(data.address) for data in manifest.data)
    run = str(run_directory(training, learned_from_own) / "best") if training else "CHECKPOINT"
    words = ["python", "-m", "export", run]
    if learned_from_own or manifest.name != training:
        words += ["--name", manifest.name]
    if manifest.numerics == "int8":
        words.append("--int8")
    return shlex.join(words)


def _figures(manifest: Manifest) -> str:
    figures = manifest.figures
    if not figures:
        return "Not measured."
    names = FIGURES[manifest.numerics]
    columns = [of for of in names if of in ALWAYS_SHOWN or any(figure.of == of for figure in figures)]
    values: dict[tuple[str, str], dict[str, str]] = {}
    for figure in figures:
        values.setdefault((figure.split, figure.metric), {})[figure.of] = shown(figure)
    lines = [
        f"| split | figure | {' | '.join(names[of] for of in columns)} |",
        f"|---|---{'|---' * len(columns)}|",
        *(row(*key, *(found.get(of, "not measured") for of in columns)) for key, found in values.items()),
    ]
    explained = [EXPLAINED[manifest.numerics]]
    if "seeds" in columns:
        explained.append(SEEDS.format(runs=next(figure.runs for figure in figures if figure.runs)))
    splits = {figure.split for figure in figures}
    if manifest.chosen_on in splits:
        explained.append(CHOSEN.format(split=manifest.chosen_on) + (CHOSEN_ONLY if len(splits) == 1 else ""))
    if caveat := recipe(manifest.task.kind).caveat:
        explained.append(caveat)
    return "\n".join([*lines, "", *explained])


def shown(figure: Figure) -> str:
    """Return the value of a figure as the card shows it, with its deviation if it has one."""
    deviation = f" ± {number(figure.deviation)}" if figure.deviation else ""
    return number(figure.value) + deviation


def row(*cells: str) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def number(value: float) -> str:
    """Format a figure: counts as integers, everything else with four decimals."""
    return f"{value:.0f}" if value == int(value) and abs(value) >= 10 else f"{value:.4f}"


def _data(data: TrainingData) -> str:
    citation = f" {data.citation}" if data.citation else ""
    address = f": <{data.address}>" if data.address else ""
    sha256 = f", sha256 `{data.sha256[:16]}…`" if data.sha256 else ""
    return f"* {data.name}{address}{sha256}. Licence: {data.licence}.{citation}"


def _stage(stage: Stage) -> str:
    sizes = ", ".join(map(str, stage.rungs))
    inputs, outputs = (", ".join(map(_tensor, specs)) for specs in (stage.inputs, stage.outputs))
    answers = f"; answers {outputs}" if outputs else ""
    return f"* `{stage.name}` for T = {sizes}: takes {inputs}{answers}."


def _tensor(spec: TensorSpec) -> str:
    return f"`{spec.name}` {spec.dtype} ({', '.join(map(str, spec.shape))})"


def _parity(report: Report) -> str:
    compared = [check for check in report.checks if check.limit]
    others = {"torch": "torch", "float32": "the float32 graphs"}
    return (
        f"Proved at export with onnxruntime {report.onnxruntime} and torch {report.torch}: {len(compared)} comparisons "
        f"with {others[compared[0].name]}, largest error {max(check.found for check in compared):.1e}; "
        f"{len(report.checks) - len(compared)} comparisons that must give the same bits (any cut, "
        "alone or in any batch). All are in `parity.json`."
    )
