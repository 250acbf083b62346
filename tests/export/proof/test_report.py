import json

import pytest

from export.proof.report import Check, Report

ERROR = Check("torch", "encode", 8, found=2e-6, limit=1e-5)
BITS = Check("cuts", "encode", 0, found=3)


def make_report(*checks: Check) -> Report:
    return Report(checks, onnxruntime="1.32", torch="2.13")


@pytest.mark.parametrize(
    ("found", "limit", "passed"),
    [(0, 0, True), (1, 0, False), (1e-5, 1e-5, True), (2e-5, 1e-5, False), (float("nan"), 1e-5, False)],
)
def test_a_check_holds_up_to_its_limit_and_never_for_nan(found: float, limit: float, passed: bool) -> None:
    assert Check("torch", "encode", 1, found, limit).passed is passed


def test_a_report_passes_only_as_a_whole() -> None:
    assert make_report(ERROR).passed
    report = make_report(ERROR, BITS)
    assert not report.passed
    assert report.failures == (BITS,)


def test_the_table_names_what_failed() -> None:
    table = str(make_report(ERROR, BITS)).splitlines()
    assert table[1].split() == ["torch", "encode", "8", "2.0e-06", "1e-05", "ok"]
    assert table[2].split() == ["cuts", "encode", "all", "3", "differ", "same", "bits", "FAILED"]


def test_the_json_is_strict_even_with_numbers_it_does_not_know() -> None:
    report = make_report(
        Check("torch", "encode", 1, float("nan"), 1e-5), Check("torch", "decode", 2, float("inf"), 1e-5)
    )
    content = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert [check["found"] for check in content["checks"]] == ["nan", "inf"]
    assert content["passed"] is False
