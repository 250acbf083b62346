"""What the playground takes for columns of readings."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.visitor import Visitor

pytestmark = pytest.mark.e2e
TABLES: dict[str, tuple[str, dict[str, list[float]], dict[str, int]]] = {
    "numbers": ("1 2\t\n", {"readings": [1, 2]}, {}),
    "a head": ("time,a,b\nmon,1,2\r\ntue,3,4\r\n", {"a": [1, 3], "b": [2, 4]}, {}),
    "decimal commas": ("time;porch;\n0:00;20,5;\n1:00;-21,25;\n", {"porch": [20.5, -21.25]}, {}),
    "a comma in quotes": ('"Temp, C","x"\n1,"2"\n3,4\n', {"Temp, C": [1, 3], "x": [2, 4]}, {}),
    "a semicolon in quotes": ('"a;b",c\n1,2\n3,4', {"a;b": [1, 3], "c": [2, 4]}, {}),
    "names twice": ("a,a\n1,5\n2,6", {"a": [1, 2], "a, column 2": [5, 6]}, {}),
    "no names": ("1,5,0\n2,6,0", {"column 1": [1, 2], "column 2": [5, 6], "column 3": [0, 0]}, {}),
    "no names, and blanks": ("1, 5\n2, 6", {"column 1": [1, 2], "column 2": [5, 6]}, {}),
    "names of two columns": ("a,b\n1,5\n2,6", {"a": [1, 2], "b": [5, 6]}, {}),
    "numbers with decimal commas": ("1,5\n-2,05\r\n3\n", {"readings": [1.5, -2.05, 3]}, {}),
    "one name, and decimal commas": ("porch\n1,5\n2,5\n", {"porch": [1.5, 2.5]}, {}),
    "one line": ("1,5", {"readings": [1, 5]}, {}),
    "an empty cell": ("a,b\n\n1,2\n,3\n4,5", {"b": [2, 3, 5]}, {"a": 4}),
    "a row too short": ("a,b\n1,2\n3\n", {"a": [1, 3]}, {"b": 3}),
    "names of the language": ("__proto__,constructor\n1,2\n3,4", {"__proto__": [1, 3], "constructor": [2, 4]}, {}),
    "words": ("not a number", {}, {}),
    "nothing": (" \n", {}, {}),
}


def test_columns_are_found_and_what_is_wrong_with_others(visitor: Visitor) -> None:
    visitor.open()
    found: dict[str, Any] = visitor.page.evaluate(
        """async (texts) => {
          const { tableOf } = await import(new URL("readings.js", document.baseURI));
          return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, tableOf(text)]));
        }""",
        {name: text for name, (text, _, _) in TABLES.items()},
    )
    for name, (_, columns, flawed) in TABLES.items():
        told = found[name]
        assert {each["name"]: each["values"] for each in told["columns"]} == columns, name
        assert {each["name"]: each["line"] for each in told["flawed"]} == flawed, name


def test_commas_that_are_taken_for_decimal_ones_are_told_of(visitor: Visitor) -> None:
    visitor.open("forecast")
    box = visitor.page.locator("#forecast form").get_by_label("Readings:")
    box.fill("20,5\n21,5\n" * 24)
    expect(visitor.part("notice").first).to_contain_text("Commas are taken for decimal ones")
    box.fill("porch,hall\n20,5\n21,5\n")
    expect(visitor.part("notice").first).to_be_empty()


def test_a_column_that_is_left_out_is_told_of_with_its_line(visitor: Visitor) -> None:
    visitor.open("forecast")
    box = visitor.page.locator("#forecast form").get_by_label("Readings")
    box.fill("time;porch;hall\n0:00;20,5;1\n1:00;;2\n")
    expect(visitor.part("notice").first).to_have_text("Line 3 has no number for porch, which is left out.")
    box.fill("time;porch\n0:00;20,5\n1:00;\n")
    visitor.part("go").click()
    expect(visitor.part("notice").first).to_have_text("No readings Line 3 has no number for porch, which is left out.")
    box.fill("time;porch\n" + "".join(f"{hour}:00;2{hour % 10},5\n" for hour in range(48)))
    visitor.part("go").click()
    expect(visitor.part("summary")).to_contain_text("porch: next reading")
    expect(visitor.part("notice").first).to_be_empty()
