from bench.profile import top

STACKS = ["main;serve;step 60", "main;serve;step;pack 30", "main;serve;serve 10"]


def test_functions_are_ordered_by_the_samples_they_were_in() -> None:
    itself, inclusive = top(STACKS, shown=2).split("\n\n")
    assert itself.splitlines() == ["itself:", " 60.0%  step", " 30.0%  pack"]
    # A function that calls itself is in a sample once.
    assert inclusive.splitlines() == ["with what it calls:", "100.0%  main", "100.0%  serve"]
