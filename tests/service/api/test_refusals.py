"""Which refusal an error is sent as."""

from service.api.refusals import refusal_of
from service.errors import ModelUnknown


def test_what_is_no_refusal_is_told_without_its_details() -> None:
    refusal = ModelUnknown("none")
    assert refusal_of(refusal) is refusal
    failed = refusal_of(ValueError("a secret"))
    assert (failed.status, "secret" in str(failed)) == (500, False)
