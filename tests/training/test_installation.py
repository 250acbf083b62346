"""The command lines where only the service is installed."""

import subprocess
import sys

import pytest

WITHOUT_TORCH = """
import runpy, sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name=name)
sys.meta_path.insert(0, Missing())
runpy.run_module(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize("package", ["training", "export"])
def test_a_library_that_is_missing_is_told_in_one_line(package: str) -> None:
    words = [sys.executable, "-c", WITHOUT_TORCH, package, "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603  words of this test
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "No module named 'torch': training and export need more than the service; run `make setup`, which installs it\n"
    )
