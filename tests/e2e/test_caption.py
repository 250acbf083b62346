"""Captions by the shipped bundle."""

import base64
from io import BytesIO

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.e2e.asking import Json, ask
from tests.paths import ROOT
from training import captions
from training.data import digits
from training.tasks.caption import with_all_shifts

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (ROOT / "models" / "caption").is_dir(), reason="no bundle for captioning ships"),
]


def described(client: httpx.Client, image: object, **request: object) -> Json:
    return ask(client, "/caption", {"image": image, **request})


def picture(pixels: np.ndarray, ink: int, paper: int) -> str:
    """A PNG file of 160 x 160 pixels, in base64."""
    shade = paper + (ink - paper) * np.kron(pixels / 16, np.ones((20, 20)))
    content = BytesIO()
    Image.fromarray(shade.astype(np.uint8)).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def test_held_out_images_are_described_as_they_are(client: httpx.Client) -> None:
    images, labels = with_all_shifts(*digits.load("dev"))
    chosen = np.random.default_rng(1).choice(len(images), size=60, replace=False)
    expected = captions.attributes_of(images[chosen], labels[chosen])
    answers = [described(client, image.tolist()) for image in images[chosen]]
    right = [captions.parse(answer["words"]) == said for answer, said in zip(answers, expected, strict=True)]
    assert sum(right) >= 54
    for answer in answers:
        assert captions.is_grammatical(answer["words"])
        assert answer["caption"] == " ".join(answer["words"]).capitalize() + "."


@pytest.mark.parametrize(("ink", "paper"), [(255, 0), (0, 255), (40, 200)])
def test_a_picture_is_described_as_its_pixels_are(client: httpx.Client, ink: int, paper: int) -> None:
    images, _ = digits.load("dev")
    for image in images[:10]:
        answer = described(client, picture(image, ink, paper))
        np.testing.assert_allclose(answer["pixels"], image * 16 / image.max(), atol=0.25)
        assert answer["words"] == described(client, answer["pixels"])["words"]


def test_the_same_can_be_said_in_several_ways(client: httpx.Client) -> None:
    image = digits.load("dev")[0][0].tolist()
    answers = [described(client, image, temperature=1.0, seed=seed)["words"] for seed in range(30)]
    assert len({tuple(words) for words in answers}) > 1
    assert described(client, image, temperature=1.0, seed=3)["words"] == answers[3]
    assert described(client, image, seed=1)["words"] == described(client, image, seed=2)["words"]


@pytest.mark.parametrize("image", ["nonsense", [[1.0]], [[99.0] * 8] * 8, [[-1.0] * 8] * 8])
def test_what_is_no_image_is_refused(client: httpx.Client, image: object) -> None:
    response = client.post("/caption", json={"image": image})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


def test_images_come_whole(client: httpx.Client) -> None:
    response = client.post("/sessions", json={"model": "caption"})
    assert (response.status_code, response.json()["type"]) == (422, "urn:unrolled:problem:not-streamable")
