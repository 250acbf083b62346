from pathlib import Path

import pytest

from export.bundle.bundle import CARD
from export.bundle.card import export_command
from export.bundle.rewriting import rendered
from export.recipes.registry import recipe
from service.bundle.manifest import Figure, TrainingData, read_bundle
from tests.export.conftest import Exported
from tests.paths import MODELS


@pytest.mark.parametrize(
    ("name", "training", "expected"),
    [
        ("generation", "python -m training generation", "python -m export runs/generation/best"),
        (
            "generation-mingru",
            "python -m training generation --set seed=2",
            "python -m export runs/generation/best --name generation-mingru",
        ),
    ],
)
def test_the_card_says_how_to_export_what_the_training_command_left(
    generation: Exported, name: str, training: str, expected: str
) -> None:
    manifest = generation.bundle.manifest.model_copy(update={"name": name, "command": training})
    assert export_command(manifest) == expected
    own = manifest.model_copy(update={"data": (manifest.data[0].model_copy(update={"address": "file:tale.txt"}),)})
    assert export_command(own) == f"python -m export runs/own-generation/best --name {name}"
    int8 = manifest.model_copy(update={"numerics": "int8"})
    assert export_command(int8) == f"{expected} --int8"


def test_a_new_card_says_that_dev_chose_the_epoch_and_whether_another_split_was_measured(generation: Exported) -> None:
    dev, test = (Figure(metric="nats_per_char", split=split, value=1.5, of="graph") for split in ("dev", "test"))
    cards = [
        rendered(generation.bundle, generation.bundle.manifest.model_copy(update={"figures": figures}))
        for figures in ((), (dev,), (test,), (dev, test))
    ]
    assert ["keeps the epoch that is best on dev" in card for card in cards] == [False, True, False, True]
    assert ["No other split was measured." in card for card in cards] == [False, True, False, False]


@pytest.mark.parametrize("path", sorted(MODELS.iterdir()), ids=lambda path: path.name)
def test_a_shipped_card_says_what_its_model_is_for(path: Path) -> None:
    manifest = read_bundle(path).manifest
    assert f"\n\n{recipe(manifest.task.kind).purpose(manifest)}\n\n" in (path / CARD).read_text()


@pytest.mark.parametrize("path", sorted(MODELS.iterdir()), ids=lambda path: path.name)
def test_a_shipped_card_is_what_would_be_written_now(path: Path) -> None:
    bundle = read_bundle(path)
    assert (path / CARD).read_text() == rendered(bundle, bundle.manifest), "run `python -m export overview`"


@pytest.mark.parametrize(
    ("task", "file", "told", "said"),
    [
        (
            "sentiment",
            "mails.csv",
            {"labels": ("order", "question", "thanks")},
            "Says which label a text has, of those in mails.csv: order, question, thanks.",
        ),
        ("generation", "tale.txt", {}, "Continues a text in the manner of tale.txt, character by character."),
        (
            "forecasting",
            "sales.csv",
            {"interval": "1 month"},
            "Forecasts readings of any number of channels, one every month as in sales.csv, with quantiles, at any "
            "moment.",
        ),
    ],
)
def test_a_model_of_a_users_own_data_is_for_what_is_in_their_file(
    request: pytest.FixtureRequest, task: str, file: str, told: dict[str, object], said: str
) -> None:
    exported: Exported = request.getfixturevalue(task)
    manifest = exported.bundle.manifest
    own = TrainingData(name=file, address=f"file:{file}", sha256="0" * 64, licence="that of its owner")
    learned = manifest.model_copy(update={"data": (own,), "task": manifest.task.model_copy(update=told)})
    assert recipe(task).purpose(learned) == said
