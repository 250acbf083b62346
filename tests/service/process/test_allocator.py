"""Memory that is taken and given back."""

from service.process.allocator import Growth

MEBIBYTE = 2**20


def test_much_is_what_was_taken_since_some_was_given_back() -> None:
    resident = [300 * MEBIBYTE]
    growth = Growth(lambda: resident[0])
    resident[0] += 128 * MEBIBYTE
    assert not growth.is_large
    resident[0] += 1
    assert growth.is_large
    resident[0] = 350 * MEBIBYTE
    growth.settle()
    assert not growth.is_large
    resident[0] = 500 * MEBIBYTE
    assert growth.is_large


def test_a_process_measures_itself() -> None:
    growth = Growth()
    taken = bytearray(200 * MEBIBYTE)
    for page in range(0, len(taken), 4096):
        taken[page] = 1
    assert growth.is_large
