"""Translation by the shipped bundles."""

import httpx
import pytest

from tests.e2e.asking import Json, ask
from tests.paths import ROOT

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (ROOT / "models" / "translation-fr").is_dir(), reason="no bundle into French ships"),
]
CAPTIONS = [
    "A man in a blue shirt is standing on a ladder.",
    "Two dogs are running in the snow.",
    "A boy jumps into the water.",
    "People are sitting at a table in front of a restaurant, talking and drinking coffee.",
]


def translated(client: httpx.Client, text: str, **options: object) -> Json:
    body = {"text": text, "to": "de", **options}
    (translation,) = ask(client, "/translate", body)["translations"]
    result: Json = translation
    return result


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("de", [("Mann", "blau"), ("Zwei Hunde", "Schnee"), ("Junge springt", "Wasser"), ("Tisch", "Restaurant")]),
        (
            "fr",
            [("homme", "bleu", "échelle"), ("Deux chiens", "neige"), ("garçon saute", "eau"), ("table", "restaurant")],
        ),
    ],
)
def test_captions_are_translated_as_people_would(client: httpx.Client, to: str, words: list[tuple[str, ...]]) -> None:
    answer = ask(client, "/translate", {"text": CAPTIONS, "to": to})
    assert answer["bundle"].startswith(f"translation-{to}:")
    for translation, expected in zip(answer["translations"], words, strict=True):
        assert all(word in translation["text"] for word in expected), translation["text"]
        assert translation["text"][0].isupper()
        assert translation["score"] < 0


def test_a_list_is_answered_in_its_order_with_the_same_bits_as_alone(client: httpx.Client) -> None:
    together = ask(client, "/translate", {"text": CAPTIONS, "to": "de", "attention": True})["translations"]
    assert together == [translated(client, text, attention=True) for text in CAPTIONS]


def test_attention_is_over_the_pieces_of_the_text(client: httpx.Client) -> None:
    attention = translated(client, CAPTIONS[0], attention=True)["attention"]
    assert "".join(attention["source"]).replace("▁", " ").strip() == CAPTIONS[0].lower()
    assert attention["target"][-1] == "[END]"
    assert len(attention["weights"]) == len(attention["target"])
    for row in attention["weights"]:
        assert len(row) == len(attention["source"])
        assert sum(row) == pytest.approx(1, abs=1e-4)


def test_attention_finds_the_word_that_is_translated(client: httpx.Client) -> None:
    attention = translated(client, CAPTIONS[1], attention=True)["attention"]
    row = attention["weights"][attention["target"].index("▁Hunde")]
    assert attention["source"][row.index(max(row))] == "▁dogs"


def test_one_beam_is_no_better_by_the_models_own_score(client: httpx.Client) -> None:
    scores = {beams: sum(translated(client, text, beams=beams)["score"] for text in CAPTIONS) for beams in (1, 5)}
    assert scores[5] >= scores[1]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"text": "A dog.", "to": "nl"}, "into ['de', 'fr']"),
        ({"text": "A dog.", "to": "fr", "model": "translation-de"}, "into ['de']"),
        ({"text": "a dog and " * 40, "to": "de"}, "64 at once"),
        ({"text": " ", "to": "de"}, "nothing to translate"),
        ({"text": ["A dog.", "机场"], "to": "fr"}, "text.1: the text has no character that the model knows"),
        ({"text": "A dog.", "to": "de", "beams": 9}, "at most 8 beams"),
    ],
)
def test_what_cannot_be_translated_is_refused(client: httpx.Client, body: Json, detail: str) -> None:
    response = client.post("/translate", json=body)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert detail in response.json()["detail"]


def test_sessions_are_refused_since_the_encoder_reads_backwards(client: httpx.Client) -> None:
    response = client.post("/sessions", json={"model": "translation-de"})
    assert response.status_code == 422
    assert response.json()["type"].endswith("not-streamable")
