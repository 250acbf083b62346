"""Music by the shipped bundles."""

import base64
import json
from io import BytesIO

import httpx
import pytest
from mido import MidiFile

from tests.e2e.asking import Json, ask, last_step, open_session, step
from tests.paths import ROOT

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (ROOT / "models" / "chorales").is_dir(), reason="no bundle for music ships"),
]
CHORD = ["C3", "G3", "E4", "C5"]


def composed(client: httpx.Client, **request: object) -> Json:
    return ask(client, "/compose", {"notes": CHORD, "frames": 24, "seed": 7, **request})


def heard(content: bytes) -> list[tuple[int, float, float]]:
    """Pitch, start and duration of each note, in seconds."""
    now, sounding, notes = 0.0, {}, []
    for message in MidiFile(file=BytesIO(content)):
        now += message.time
        if message.type == "note_on":
            sounding[message.note] = now
        elif message.type == "note_off":
            start = sounding.pop(message.note)
            notes.append((message.note, start, now - start))
    assert not sounding
    return sorted(notes)


@pytest.mark.parametrize("model", ["chorales", "folk"])
def test_a_piece_goes_on_from_its_chord_and_its_midi_file_has_its_notes(client: httpx.Client, model: str) -> None:
    answer = composed(client, model=model, tempo=60)
    assert answer["bundle"].startswith(f"{model}:")
    assert answer["frames"][0] == [48, 55, 64, 72]
    assert len(answer["frames"]) == 25
    assert all(frame == sorted(set(frame)) for frame in answer["frames"])
    notes = sorted((note["pitch"], note["start"], note["duration"]) for note in answer["notes"])
    assert heard(base64.b64decode(answer["midi"])) == [pytest.approx(note, abs=1e-3) for note in notes]
    for beat, frame in enumerate(answer["frames"]):
        time = (beat + 0.5) / answer["frames_per_beat"]
        assert [pitch for pitch, start, duration in notes if start <= time < start + duration] == frame


def test_the_midi_file_itself_is_the_same(client: httpx.Client) -> None:
    response = client.post("/compose", json={"notes": CHORD, "frames": 24, "seed": 7, "format": "midi"})
    assert response.headers["content-type"] == "audio/midi"
    assert response.content == base64.b64decode(composed(client)["midi"])
    assert response.content.startswith(b"MThd")


@pytest.mark.parametrize("tempo", [4, 61.5, 240, 1000])
def test_any_tempo_only_changes_how_fast_it_is_played(client: httpx.Client, tempo: float) -> None:
    answer, slow = composed(client, tempo=tempo), composed(client, tempo=60)
    assert answer["frames"] == slow["frames"]
    ratio = MidiFile(file=BytesIO(base64.b64decode(slow["midi"]))).length * 60 / tempo
    assert MidiFile(file=BytesIO(base64.b64decode(answer["midi"]))).length == pytest.approx(ratio, rel=1e-3)


def test_chorales_have_four_voices(client: httpx.Client) -> None:
    frames = composed(client, model="chorales", frames=200)["frames"]
    assert sum(3 <= len(frame) <= 4 for frame in frames) > 0.9 * len(frames)


def test_seeds_and_settings_tell_what_is_written(client: httpx.Client) -> None:
    assert composed(client) == composed(client)
    assert composed(client)["frames"] != composed(client, seed=8)["frames"]
    drawn = composed(client, seed=None)
    assert composed(client, seed=drawn["seed"])["frames"] == drawn["frames"]
    assert composed(client, temperature=0)["frames"] == composed(client, temperature=0, seed=8)["frames"]
    assert len(composed(client, frames=None, bars=3)["frames"]) == 1 + 12
    assert composed(client, notes="C4")["frames"][0] == [60]
    assert composed(client, notes=[["C4"], [], [60, "E4"]])["frames"][:3] == [[60], [], [60, 64]]
    assert len(composed(client, notes=None)["frames"]) == 24


@pytest.mark.parametrize(
    ("request_body", "status"),
    [
        ({"notes": "H2"}, 422),
        ({"notes": [200]}, 422),
        ({"notes": 12}, 422),
        ({"frames": 3, "bars": 1}, 422),
        ({"tempo": 0}, 422),
        ({"model": "sentiment"}, 404),
    ],
)
def test_what_cannot_be_composed_is_refused(client: httpx.Client, request_body: Json, status: int) -> None:
    response = client.post("/compose", json=request_body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


def test_a_session_composes_the_same_in_any_cut(client: httpx.Client, fast: httpx.Client) -> None:
    notes = {"notes": [CHORD]}
    sampled = {"seed": 5, "temperature": 1.0}
    whole = last_step(client, "chorales", [notes, {"generate": {"frames": 20, **sampled}}])["frames"]
    session_id = open_session(fast, "chorales")
    step(fast, session_id, notes)
    cut = [step(fast, session_id, {"generate": {"frames": n, **sampled}})["frames"] for n in (1, 7, 12)]
    assert [frame for frames in cut for frame in frames] == whole
    assert composed(client, frames=20, **sampled, top_p=0.95)["frames"][1:] == whole


def test_a_stream_tells_frames_and_a_repetition_tells_them_again(fast: httpx.Client) -> None:
    session_id = open_session(fast, "chorales")
    step(fast, session_id, {"notes": [CHORD]})
    body = {"step": 1, "inputs": {"generate": {"frames": 30}}, "stream": True}
    told = []
    for _ in range(2):
        response = fast.post(f"/sessions/{session_id}/steps", json=body)
        events = [part.split("\n") for part in response.text.strip().split("\n\n")]
        data = [json.loads(lines[1].removeprefix("data: ")) for lines in events]
        assert {lines[0] for lines in events[:-1]} == {"event: frames"}
        assert events[-1][0] == "event: done"
        pieces = [frame for piece in data[:-1] for frame in piece["frames"]]
        assert pieces == data[-1]["outputs"]["frames"]
        told.append(data[-1])
    assert told[0] == told[1]
    assert told[0]["step"] == 2
