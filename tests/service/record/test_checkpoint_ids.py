"""Names and ids of checkpoints."""

import pytest

from service.record.checkpoint_ids import checkpoint_entry, checkpoint_id, checkpoint_name, session_of


@pytest.mark.parametrize("step", [0, 9, 10, 2**40])
def test_a_checkpoint_keeps_its_name_and_its_session_at_every_step(step: int) -> None:
    saved = checkpoint_entry("here", step)
    assert checkpoint_name(saved) == "here"
    assert session_of(checkpoint_id("id", saved)) == "id"


def test_a_name_that_is_saved_again_is_another_record() -> None:
    assert len({checkpoint_id("id", checkpoint_entry("here", step)) for step in range(20)}) == 20
