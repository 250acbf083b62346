"""What the numerics fingerprint knows of the processor, and what changes it."""

import platform
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from service.engine import numerics
from service.engine.numerics import cpu_features, fingerprint

FLAGS = "fpu avx avx2 fma f16c avx512_bf16"
KNOWN = ("avx", "avx2", "avx512_bf16", "f16c", "fma")


@pytest.fixture(autouse=True)
def _on_a_machine_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("NPY_DISABLE_CPU_FEATURES", raising=False)
    monkeypatch.delenv("NPY_ENABLE_CPU_FEATURES", raising=False)
    monkeypatch.setattr(Path, "read_text", lambda _: f"processor: 0\nflags\t\t: {FLAGS}\n")
    cpu_features.cache_clear()
    yield
    cpu_features.cache_clear()


def ask(monkeypatch: pytest.MonkeyPatch, **features: bool) -> tuple[str, ...]:
    """The features where the processor itself says this."""
    monkeypatch.setattr(np._core._multiarray_umath, "__cpu_features__", features)
    return cpu_features()


def test_features_that_an_emulated_processor_lacks_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, AVX=False, AVX2=False, FMA3=False, F16C=True) == ("avx512_bf16", "f16c")


def test_a_processor_as_proc_describes_it_keeps_its_features(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, AVX=True, AVX2=True, FMA3=True, F16C=True, AVX512F=False, SVE=True) == KNOWN


def test_a_numpy_that_names_no_features_denies_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch) == KNOWN
    monkeypatch.delattr(np, "_core")
    cpu_features.cache_clear()
    assert cpu_features() == KNOWN


@pytest.mark.parametrize("variable", ["NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"])
def test_a_numpy_that_is_told_what_to_use_denies_none(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "AVX2 FMA3")
    assert ask(monkeypatch, AVX=True, AVX2=False, FMA3=False, F16C=False) == KNOWN


def test_each_of_what_bits_depend_on_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(owner: object, name: str, value: object) -> bytes:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            return fingerprint("cpu")

    known = fingerprint("cpu")
    others = [
        fingerprint("cuda"),
        other(onnxruntime, "__version__", "1.99.0"),
        other(platform, "machine", lambda: "riscv64"),
        other(numerics, "cpu_features", lambda: KNOWN[1:]),
    ]
    assert len({known, *others}) == 5
    assert other(numerics, "gpu_features", lambda: ("a GPU",)) == known == fingerprint("cpu")
    with monkeypatch.context() as patch:
        patch.setattr(numerics, "gpu_features", lambda: ("a GPU",))
        assert fingerprint("cuda") not in {known, *others}
