"""Header fields."""

from service.api.headers import header


def test_the_first_field_of_a_name_is_its_value() -> None:
    fields = [(b"a", b"1"), (b"b", b"2"), (b"b", b"3")]
    assert (header(fields, b"b"), header(fields, b"c")) == (b"2", b"")
