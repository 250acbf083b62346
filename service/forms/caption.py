"""Images to describe, and the answers."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, FiniteFloat, Tag

from service.forms.form import MAX_READING, BundleTag, Form, Question, Seed, WithMessage, union_tag
from service.forms.sampling_options import SamplingOptions

MAX_PIXELS = 64  # of a row or a column
MAX_IMAGE_CHARACTERS = 2**20
Pixel = Annotated[FiniteFloat, Field(ge=0, le=MAX_READING)]
Pixels = Annotated[
    list[Annotated[list[Pixel], Field(fail_fast=True, min_length=1, max_length=MAX_PIXELS)]],
    Field(fail_fast=True, min_length=1, max_length=MAX_PIXELS),
]
EncodedImage = Annotated[
    str,
    Field(min_length=1, max_length=MAX_IMAGE_CHARACTERS),
    WithMessage(
        f"an image is rows of pixels, or a file in base64 of at most {MAX_IMAGE_CHARACTERS} characters, "
        f"which are {MAX_IMAGE_CHARACTERS * 3 // 4 // 1024} KiB of the file"
    ),
]


def _shape_of_image(value: Any) -> Any:  # noqa: ANN401  # whatever a client sent
    if isinstance(value, str):
        return union_tag("one")
    return union_tag("list") if isinstance(value, list) and all(isinstance(row, list) for row in value) else None


Image = Annotated[
    Annotated[EncodedImage, Tag(union_tag("one"))] | Annotated[Pixels, Tag(union_tag("list"))],
    Discriminator(
        _shape_of_image,
        custom_error_type="no_shape",
        custom_error_message="an image is rows of pixels, or a file in base64 (in JavaScript `canvas.toDataURL()` or "
        "`FileReader.readAsDataURL`)",
    ),
]


class CaptionRequest(SamplingOptions, Question):
    """An image to describe."""

    image: Image = Field(
        description="A PNG or JPEG file in base64 or as a data URL, or rows of pixels from 0 (paper) "
        "to the model's largest value (ink)",
        examples=[[[0, 0, 0, 16, 16, 0, 0, 0]] * 8],
    )
    temperature: float = Field(
        0.0, ge=0, le=10, description="Sampling temperature; 0 always takes the most probable word"
    )


class CaptionAnswer(Form):
    """A sentence, and the pixels that it describes; `seed` gives it again where words are drawn."""

    caption: str = Field(description="Caption, one sentence")
    words: list[str] = Field(description="Words of the caption as the model wrote them, without the full stop")
    pixels: list[list[float]] = Field(description="Image as the model saw it, row by row; 0 is paper")
    seed: Seed = Field(description="Seed that was used: the one in the request, or one that was drawn")
    bundle: BundleTag
