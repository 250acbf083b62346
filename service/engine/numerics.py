"""Numerics: two processes with the same fingerprint compute the same bits for the same session."""

import hashlib
import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import onnxruntime as ort

# CPU features by which onnxruntime chooses its kernels.
_FEATURES = frozenset(
    {"avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx_vnni", "avx512_bf16"}
    | {"amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve"}
)
# As numpy names those that it asks the processor for (CPUID).
_ASKED_FOR = {
    "avx": "AVX",
    "avx2": "AVX2",
    "fma": "FMA3",
    "f16c": "F16C",
    "avx512f": "AVX512F",
    "avx512bw": "AVX512BW",
    "avx512vl": "AVX512VL",
    "avx512_vnni": "AVX512VNNI",
}
# With these numpy also denies what the processor has, and onnxruntime does not heed them.
_NUMPY_SWITCHES = ("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES")
_CUBLAS = ("nvidia-cublas", "nvidia-cublas-cu12")  # of CUDA 13 and 12


def fingerprint(provider: str) -> bytes:
    """Return the numerics fingerprint: 8 bytes of a hash of onnxruntime's version, the provider and the CPU's features.

    It leaves out the bundle, since a session stays on one version anyway.
    """
    features = cpu_features() + (gpu_features() if provider == "cuda" else ())
    description = f"{ort.__version__} {provider} {platform.machine()} {' '.join(features)}"
    return hashlib.sha256(description.encode()).digest()[:8]


def gpu_features() -> tuple[str, ...]:
    """Return what cuBLAS chooses kernels by: GPU models, driver version, and its own version if pip installed it."""
    driver = Path("/proc/driver/nvidia")
    files = [driver / "version", *driver.glob("gpus/*/information")]
    lines = [line for file in files if file.is_file() for line in file.read_text().splitlines()]
    found = {" ".join(line.split()) for line in lines if line.startswith(("NVRM version", "Model"))}
    return tuple(sorted(found | {f"{name} {_installed(name)}" for name in _CUBLAS}))


@cache
def cpu_features() -> tuple[str, ...]:
    """Return this processor's features that kernels are chosen by, or its name if there is no /proc.

    In an emulator, /proc tells the features of the machine's processor, not of the one that the process sees.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return (platform.processor(),)
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return tuple(sorted(_FEATURES & set(flags.partition(":")[2].split()) - _missing_features()))


def _missing_features() -> set[str]:
    """Return the features that the processor says it lacks, as far as this release of numpy tells."""
    if any(map(os.environ.get, _NUMPY_SWITCHES)):
        return set()
    core = getattr(np, "_core", None)
    found = getattr(getattr(core, "_multiarray_umath", None), "__cpu_features__", {})
    return {feature for feature, name in _ASKED_FOR.items() if found.get(name) is False}


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
