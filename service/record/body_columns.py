"""The bodies of many sessions after a step in tensors, computed together; see `service.record.body`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.record.body import HEAD_FIELDS

HEAD = np.dtype([(name, f"V{form[:-1]}" if form.endswith("s") else f"<{form}") for name, form in HEAD_FIELDS.items()])


def next_heads(
    heads: Sequence[bytes],
    num_items: int,
    digests: Sequence[bytes],
    answers: Sequence[bytes],
    extras: Sequence[bytes],
) -> NDArray[np.uint8]:
    """Return the bodies, without the state, of N sessions that have all advanced by the same number of items.

    Args:
        heads: Heads of the bodies before, which have no labels, pending input, kept inputs or state before.
        num_items: Items of the step.
        digests: Digests of the step's inputs, 16 bytes each.
        answers: Answers to the step, all of one length.
        extras: What follows the answer, all of one length.

    Returns:
        uint8 (N, HEAD.itemsize + answer + extra): the next heads, and what is between them and the state.
    """
    head = np.frombuffer(b"".join(heads), HEAD).copy()
    head["position"] += num_items
    head["digest"] = np.frombuffer(b"".join(digests), "V16")
    head["answer_length"] = len(answers[0])
    rest = np.frombuffer(b"".join([part for pair in zip(answers, extras, strict=True) for part in pair]), np.uint8)
    N = len(heads)
    return np.concatenate([head.view(np.uint8).reshape(N, -1), rest.reshape(N, -1)], axis=1)
