import pytest

from training.text.bio import Entity, Match, entities, match


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O O", []),
        ("B-person I-person O B-person", [Entity(0, 2, "person"), Entity(3, 4, "person")]),
        ("B-person B-person", [Entity(0, 1, "person"), Entity(1, 2, "person")]),
        ("B-person I-group I-group", [Entity(0, 1, "person"), Entity(1, 3, "group")]),
        ("O I-creative-work", [Entity(1, 2, "creative-work")]),
        ("I-person O I-person", [Entity(0, 1, "person"), Entity(2, 3, "person")]),
    ],
)
def test_entities_are_those_of_the_conll_evaluation(tags: str, found: list[Entity]) -> None:
    assert entities(tags.split()) == found


def test_an_entity_counts_only_with_its_whole_extent_and_its_kind() -> None:
    actual = [["B-person", "I-person", "O"], ["B-group", "O", "B-product"], ["O"]]
    guesses = [["B-person", "O", "O"], ["B-person", "O", "B-product"], ["B-group"]]
    found = match(actual, guesses)
    assert found == Match(actual=3, found=4, right=1)
    assert (found.precision, found.recall, found.f1) == (1 / 4, 1 / 3, 2 / 7)


def test_nothing_found_is_no_error() -> None:
    nothing = match([["O"]], [["O"]])
    assert (nothing.precision, nothing.recall, nothing.f1) == (0.0, 0.0, 0.0)
