"""Captioning: a stage that reads an image, and one that writes a sentence about it."""

from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn

from export.recipes.language import LanguageRecipe
from export.recipes.recipe import Stages
from export.running.rungs import Rungs
from export.stages import Arrays, Draw, Sizes, StagePlan, spec, state_names
from export.tracing.graphs import UnrolledGraph
from service.bundle.manifest import Bundle, Manifest
from service.bundle.stage import Stage
from service.bundle.tasks import CaptionTask
from training import captions
from training.data.digits import LARGEST, SIZE
from training.models.caption import START


class CaptionRecipe(LanguageRecipe):
    """Sentences about digits."""

    pattern = "one to many, of an image"
    endpoint = "/caption"
    headline = ("caption_accuracy",)

    def purpose(self, manifest: Manifest) -> str:
        return (
            "Says in a sentence which digit a small image shows, in what strokes, and where. It demonstrates a "
            "pattern: an image vector from which a decoder writes word after word. Its images are 8 x 8 pixels and its "
            "vocabulary 26 words; it is no tool for reading handwriting."
        )

    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        _, decode = super().stages(cast(nn.Module, model.decoder), sizes)
        look = StagePlan(
            name="look",
            sizes=(1,),
            inputs=(spec("x", "float32", "N", SIZE, SIZE),),
            outputs=(),
            reads=(),
            writes=state_names(model),
            build=lambda _: UnrolledGraph(model, (), ()),
            draw=_draw_images,
        )
        return look, decode

    def compare(self, model: nn.Module, rungs: Rungs, rng: np.random.Generator, N: int) -> tuple[Arrays, Arrays]:
        """Compare the logits of the first word, and those after a sentence that the graphs sampled."""
        look, decode = rungs.stages["look"], rungs.stages["decode"]
        K = max(decode.sizes)
        images = look.draw(rng, N, 1)
        looked = rungs.run(look, 1, images, rungs.initial_state(N))
        written = rungs.run(decode, K, {**decode.draw(rng, N, K), "remaining": np.full(N, K)}, looked.state)
        words = np.concatenate([np.full((N, 1), START), written.outputs["tokens"]], axis=1)
        logits = model(torch.from_numpy(images["x"]), torch.from_numpy(words)).numpy()
        found = {"first": looked.state["pending_logits"], "last": written.state["pending_logits"]}
        return found, {"first": logits[:, 0], "last": logits[:, -1]}

    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> CaptionTask:
        return CaptionTask(words=captions.vocabulary(), size=SIZE, largest=LARGEST)

    def num_tokens(self, bundle: Bundle) -> int:
        return len(captions.vocabulary())

    def draw(self, bundle: Bundle, stage: Stage) -> Draw:
        return _draw_images if stage.name == "look" else super().draw(bundle, stage)


def _draw_images(rng: np.random.Generator, N: int, _: int) -> Arrays:
    """Draw images of paper and ink, float32 (N, 8, 8)."""
    return {"x": np.clip(rng.normal(5, 8, size=(N, SIZE, SIZE)), 0, LARGEST).astype(np.float32)}


RECIPE = CaptionRecipe()
