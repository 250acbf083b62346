from bench.profile import top

STACKS = [
    "main;serve (service/a.py:1);step (service/b.py:1) 60",
    "main;serve (service/a.py:1);step (service/b.py:1);pack 30",
    "main;serve (service/a.py:1);serve (service/a.py:1) 10",
]


def test_functions_are_ordered_by_the_samples_they_were_in() -> None:
    itself, inclusive = top(STACKS, shown=2).split("\n\n")
    assert itself.splitlines() == ["itself:", " 60.0%  step (service/b.py:1)", " 30.0%  pack"]
    # A function that calls itself is in a sample once.
    assert inclusive.splitlines()[1:] == ["100.0%  serve (service/a.py:1)", " 90.0%  step (service/b.py:1)"]
