import pytest
import torch

from training import settings
from training.tasks import registry


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Whatever ran before: small networks are slower on several threads."""
    torch.set_num_threads(1)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Make the command line know the toy task."""
    configs = tmp_path_factory.mktemp("configs")
    (configs / "toy.toml").write_text("seed = 3\n")
    monkeypatch.setattr(settings, "CONFIGS", configs)
    monkeypatch.setitem(registry.TASKS, "toy", "tests.training.toy:ToyTask")
