"""Logits that are made JSON piece by piece are the same JSON."""

import numpy as np
import orjson
import pytest

from service.steps.large_logits import MANY_LOGITS, PIECE_LOGITS, are_many, json_pieces
from service.steps.step_rules import MAX_KEPT_ANSWER_BYTES


@pytest.mark.parametrize("shape", [(1, 3), (2 * PIECE_LOGITS, 2), (1000, 65), (3, PIECE_LOGITS + 1), (40_000,)])
def test_the_pieces_are_the_whole(shape: tuple[int, ...]) -> None:
    logits = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    logits.reshape(-1)[1] = np.nan
    pieces = list(json_pieces(logits))
    assert b"".join(pieces) == orjson.dumps({"logits": logits}, option=orjson.OPT_SERIALIZE_NUMPY)
    assert len(pieces) >= 2 + logits.size // (2 * PIECE_LOGITS)


def test_only_logits_whose_json_is_never_kept_are_made_so() -> None:
    shortest = orjson.dumps({"logits": np.zeros(MANY_LOGITS + 1, np.float32)}, option=orjson.OPT_SERIALIZE_NUMPY)
    assert len(shortest) > MAX_KEPT_ANSWER_BYTES
    assert are_many("logits", np.zeros(MANY_LOGITS + 1))
    assert not are_many("logits", np.zeros(MANY_LOGITS))
    assert not are_many("argmax", np.zeros(MANY_LOGITS + 1))
    assert not are_many("none", None)
