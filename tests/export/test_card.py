import pytest

from export.card import export_command
from tests.export.conftest import Exported


@pytest.mark.parametrize(
    ("name", "training", "expected"),
    [
        ("generation", "python -m training generation", "python -m export runs/generation/best"),
        (
            "generation-mingru",
            "python -m training generation --set seed=2 --output runs/two",
            "python -m export runs/two/best --name generation-mingru",
        ),
    ],
)
def test_the_card_says_how_to_export_what_the_training_command_left(
    generation: Exported, name: str, training: str, expected: str
) -> None:
    manifest = generation.bundle.manifest.model_copy(update={"name": name, "command": training})
    assert export_command(manifest) == expected
    int8 = manifest.model_copy(update={"numerics": "int8"})
    assert export_command(int8) == f"{expected} --int8"
