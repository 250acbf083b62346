"""Which precision a training has where it is to choose one."""

import pytest
import torch

from training.loop import precision


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    precision.choose_precision.cache_clear()


@pytest.mark.parametrize("faster", precision.PRECISIONS)
def test_the_faster_one_of_this_processor_is_chosen(faster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(device: torch.device, each: str, *, size: int) -> float:
        assert (device.type, size) == ("cpu", precision.TRIED_SIZE)
        return 2.0 if each == faster else 1.0

    monkeypatch.setattr(precision, "measure_gemm", measured)
    assert precision.choose_precision("auto", "cpu") == faster


def test_this_processor_has_one_of_them() -> None:
    assert precision.choose_precision("auto", "cpu") in precision.PRECISIONS


@pytest.mark.parametrize("named", precision.PRECISIONS)
def test_one_that_is_named_is_taken_unseen(named: precision.Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "measure_gemm", None)
    assert precision.choose_precision(named, "cpu") == named
