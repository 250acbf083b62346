import pytest

from bench.load import Load, Quantiles, alternate, quantiles, ratio


def load(rate: float) -> Load:
    return Load(completed=int(2 * rate), seconds=2.0, cpu_seconds=0.5, latency=Quantiles(0.1, 0.2, 0.3))


def test_a_load_counts_by_the_second() -> None:
    assert load(70).rate == 70
    assert load(70).cores == 0.25


def test_rounds_are_compared_one_by_one() -> None:
    # The machine halves its speed in the second round: the ratio does not notice.
    assert ratio([30, 15, 36], [10, 5, 12]) == 3
    assert ratio([10, 40, 30], [10, 10, 10]) == 3


def test_sides_with_different_rounds_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])


def test_quantiles_are_those_of_all_times() -> None:
    assert quantiles([float(number) for number in range(101)]) == (50, 99, 100)


def test_runs_take_turns_after_one_that_does_not_count() -> None:
    order: list[tuple[str, float]] = []

    def run(name: str, seconds: float) -> Load:
        order.append((name, seconds))
        return load(len(order))

    runs = {name: lambda seconds, name=name: run(name, seconds) for name in ("raw", "service")}
    raw, service = alternate("turns", runs, rounds=2, seconds=3.0).values()
    assert order == [("raw", 1), ("service", 1), *[("raw", 3), ("service", 3)] * 2]
    assert [each.rate for each in raw] == [3, 5]
    assert [each.rate for each in service] == [4, 6]
