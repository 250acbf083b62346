import itertools

import numpy as np
import torch

from training import music
from training.music import END_OF_FRAME, VOCABULARY_SIZE


def test_a_piece_is_its_pitches_and_the_ends_of_its_frames() -> None:
    assert music.tokens(((60, 64), (), (21, 108))).tolist() == [88, 39, 43, 88, 88, 0, 87, 88]


def test_ascending_pitches_and_ends_of_frames_may_follow_and_nothing_else() -> None:
    may_follow = music.successors()
    for before, after in itertools.product(range(VOCABULARY_SIZE), repeat=2):
        expected = after == END_OF_FRAME or before == END_OF_FRAME or after > before
        assert bool(may_follow[before, after]) == expected


def test_every_step_of_a_piece_may_follow_the_one_before() -> None:
    ids = torch.from_numpy(music.tokens(((60, 64, 67), (), (60,), (21, 60, 108))))
    assert music.successors()[ids[:-1], ids[1:]].all()


def test_transposing_moves_pitches_only() -> None:
    ids = music.tokens(((60, 64), (), (62,)))
    assert music.transposed(ids, 3).tolist() == music.tokens(((63, 67), (), (65,))).tolist()


def test_no_transposition_leaves_the_keyboard() -> None:
    low, high, silent = (music.tokens((frame,)) for frame in ((22, 60), (60, 106), ()))
    assert list(music.transpositions(low, 3)) == [-1, 0, 1, 2, 3]
    assert list(music.transpositions(high, 3)) == [-3, -2, -1, 0, 1, 2]
    assert 0 in music.transpositions(silent, 3)
    for ids in (low, high):
        moved = np.concatenate([music.transposed(ids, by) for by in music.transpositions(ids, 88)])
        keys = moved[moved != END_OF_FRAME]
        assert (keys.min(), keys.max()) == (0, 87)


def test_frames_of_tokens_are_those_that_have_ended() -> None:
    piece = ((60, 64), (), (21, 108))
    ids = music.tokens(piece).tolist()
    assert tuple(music.frames(ids[1:])) == piece
    assert tuple(music.frames(ids[1:-1])) == piece[:2]
