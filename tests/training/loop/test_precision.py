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


def test_nothing_is_measured_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(precision, "measure_gemm", None)
    assert precision.choose_precision("auto", "cuda") == "bf16-mixed"
    assert [precision.is_measured("auto", accelerator) for accelerator in ("cpu", "cuda", "auto")] == [
        True,
        False,
        False,
    ]
    assert not precision.is_measured("32-true", "cpu")


@pytest.mark.parametrize("named", precision.PRECISIONS)
def test_one_that_is_named_is_taken_unseen(named: precision.Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "measure_gemm", None)
    assert precision.choose_precision(named, "cpu") == named
