"""What the elements of settings with several values may be."""

import pytest

from training.settings import SettingsError, load
from training.tasks.registry import task_type


@pytest.mark.parametrize(
    ("task", "override"),
    [
        ("forecasting", "model.season_decays=[0.8, -1.0]"),
        ("forecasting", "model.season_decays=[1.0]"),
        ("forecasting-window", "loss.horizons=[0, 720]"),
        ("sentiment-bidirectional", "targets=[0.0, 0.2, 0.5, 0.8, 5.0]"),
    ],
)
def test_an_element_out_of_range_is_refused_and_named(task: str, override: str) -> None:
    with pytest.raises(SettingsError, match=override.partition("=")[0]):
        load(task_type(task).settings_type, task, overrides=[override])
