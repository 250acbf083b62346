"""Captioning: an image in, a sentence about it out, word by word."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np

from service.bundle.manifest import Bundle
from service.bundle.tasks import CaptionTask
from service.engine.engine import Engine
from service.errors import InvalidInput
from service.forms.caption import CaptionAnswer, CaptionRequest
from service.forms.form import Form
from service.media.image import NoImage, Pixels, from_base64, read_image
from service.record.sequence_state import SINGLE_ROW, SequenceState
from service.tasks.decoder import DECODE_NEEDS, Decoder
from service.tasks.task import ServedModel

END = 0  # the word that ends a sentence
MAX_WORDS = 64


class CaptionModel(ServedModel):
    """A decoder of words whose initial state is made from an image, by the stage "look"."""

    kind: ClassVar[str] = "caption"
    inputs_form: ClassVar[type[Form]] = CaptionRequest
    needs: ClassVar[Mapping[str, tuple[str, ...]]] = {"look": ("x",), "decode": DECODE_NEEDS}

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        super().__init__(bundle, engine)
        self._task = self.spec(CaptionTask)
        self._decoder = Decoder(bundle, engine, len(self._task.words), "word")
        # A file of a few kilobytes may unpack to 200 MB, so only one at a time, even after its client has gone.
        self._reader = ThreadPoolExecutor(1, "images")

    async def describe(self, request: CaptionRequest, seed: int) -> CaptionAnswer:
        """Write a sentence about an image.

        Raises:
            InvalidInput: The model cannot read the image.
            QueueFull: The engine's queue has no room.
            ShuttingDown: The worker is shutting down.
        """
        self._decoder.check(request)
        pixels = await self._pixels(request.image)
        look = await self.engine.advance("look", self.layout.initial, {"x": pixels}, 1)
        state, tokens = SequenceState((look.row,), SINGLE_ROW), list[int]()
        while END not in tokens and len(tokens) < MAX_WORDS:
            written, state = await self._decoder.decode(state, request, seed, self._decoder.max_run)
            tokens += written
        words = [self._task.words[token] for token in _before_end(tokens)]
        return CaptionAnswer(
            caption=_sentence(words), words=words, pixels=pixels.tolist(), seed=seed, bundle=self.bundle.tag
        )

    async def _pixels(self, image: str | list[list[float]]) -> Pixels:
        if isinstance(image, str):
            return await asyncio.get_running_loop().run_in_executor(self._reader, self._decoded, image)
        size, largest = self._task.size, self._task.largest
        if len(image) != size or any(len(row) != size for row in image):
            raise InvalidInput(f"an image is {size} rows of {size} pixels", ("image",))
        pixels = np.array(image, dtype=np.float32)
        if pixels.max() > largest:
            raise InvalidInput(f"pixels are numbers from 0 to {largest:g}", ("image",))
        if not pixels.any():
            raise InvalidInput("the image is blank", ("image",))
        return pixels

    def _decoded(self, image: str) -> Pixels:
        try:
            return read_image(from_base64(image), self._task.size, self._task.largest)
        except NoImage as error:
            raise InvalidInput(str(error), ("image",)) from None


def _before_end(tokens: Sequence[int]) -> Sequence[int]:
    return tokens[: tokens.index(END)] if END in tokens else tokens


def _sentence(words: Sequence[str]) -> str:
    """Join words into a sentence, with a capital and a full stop."""
    text = " ".join(words)
    return f"{text[:1].upper()}{text[1:]}."
