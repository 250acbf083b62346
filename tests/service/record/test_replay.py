"""Kept inputs."""

from hypothesis import given
from hypothesis import strategies as st

from service.record.replay import appended, inherited, kept_steps

INPUTS = st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.lists(st.integers(-9, 9)), max_size=3)


@given(st.lists(st.tuples(st.integers(0, 2**40), INPUTS), max_size=5))
def test_kept_inputs_come_back_in_order(steps: list[tuple[int, dict[str, object]]]) -> None:
    kept = b""
    for step, inputs in steps:
        kept = appended(kept, step, inputs, 10_000)
        assert kept is not None
    assert [(kept_step.step, kept_step.inputs) for kept_step in kept_steps(kept)] == steps


def test_inputs_that_outgrow_the_limit_are_kept_no_more() -> None:
    kept = appended(b"", 0, {"text": "abc"}, 100)
    assert kept is not None
    assert appended(kept, 1, {"text": "abc"}, 2 * len(kept)) is not None
    assert appended(kept, 1, {"text": "abc"}, 2 * len(kept) - 1) is None


def test_a_fork_inherits_steps_that_generated_with_the_secret_of_whoever_took_them() -> None:
    of_first = appended(b"", 0, {"generate": {}}, 1000)
    of_second = appended(inherited(of_first, b"1", 1000), 1, {"generate": {}}, 1000)
    of_third = inherited(of_second, b"2", 1000)
    assert of_third is not None
    assert [step.secret for step in kept_steps(of_third)] == [b"1".hex(), b"2".hex()]
    assert inherited(of_third, b"3", len(of_third)) == of_third
    assert inherited(of_third, b"3", len(of_third) - 1) is None
    assert inherited(None, b"3", 1000) is None


def test_a_fork_inherits_all_other_steps_as_they_are() -> None:
    kept = appended(appended(b"", 0, {"values": {"kW": [1.35]}}, 1000), 2, {"text": "generate"}, 1000)
    assert kept is not None
    assert inherited(kept, b"1" * 16, len(kept)) == kept
    with_secrets = kept.replace(b"}\n", b',"secret":"%b"}\n' % (b"00" * 16))  # as earlier versions wrote them
    assert [step.inputs for step in kept_steps(with_secrets)] == [step.inputs for step in kept_steps(kept)]
    assert inherited(with_secrets, b"1" * 16, len(kept)) == kept
