"""Translation: one stage per direction of each encoder layer, and one for a step of the decoder."""

from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from export.recipes.draws import draw_features, draw_items, draw_lengths, num_words
from export.recipes.recipe import Recipe, Stages
from export.running.directions import each_alone, run_layers
from export.running.rungs import Rungs
from export.stages import Arrays, Draw, Sizes, StagePlan, spec, state_of
from export.tracing.graphs import StageGraph
from service.bundle.manifest import Bundle, Manifest
from service.bundle.stage import Stage
from service.bundle.tasks import TranslationTask
from training.models.streaming import Pass
from training.models.translation import STEP, TranslationModel
from training.text.subwords import END_ID, START_ID

# Few rungs: compared with the decoder's steps a few more calls do not matter, and each rung has its own weights in
# memory.
DIRECTION_SIZES: Sizes = (1, 4, 16)
# Sources are padded to the shortest of these that holds them, so that attention sees few shapes.
SOURCE_SIZES: Sizes = (16, 32, 64)
# How many of the most probable next pieces a step returns: twice the largest number of beams.
NUM_NEXT = 16
PIECES = 8  # of a translation that is compared with the pass that trains


class TranslationRecipe(Recipe):
    """An encoder-decoder over subwords."""

    pattern = "many to many, by attention"
    endpoint = "/translate"
    headline = ("bleu", "sacrebleu", "chrf")

    def purpose(self, manifest: Manifest) -> str:
        return "Translates an English caption of a photograph; what it was trained on is for non-commercial use."

    def cell(self, model: nn.Module) -> str:
        return "gru"

    def stages(self, model: nn.Module, sizes: dict[str, Sizes]) -> Stages:
        translator = cast(TranslationModel, model)
        V = translator.embedding.num_embeddings
        features, H = translator.query.out_features, translator.query.out_features // 2
        directions = [
            self._direction(translator, each, sizes.get(each.name, DIRECTION_SIZES), V, features, H)
            for each in translator.passes.values()
        ]
        carried = ("decoder1_h", "decoder2_h")
        step = StagePlan(
            name=STEP,
            sizes=sizes.get(STEP, SOURCE_SIZES),
            inputs=(
                spec("token", "int64", "N"),
                spec("memory", "float32", "N", "T", features),
                spec("length", "int64", "N"),
            ),
            outputs=(
                spec("tokens", "int64", "N", min(NUM_NEXT, V)),
                spec("log_probs", "float32", "N", min(NUM_NEXT, V)),
                spec("attention", "float32", "N", "T"),
            ),
            reads=carried,
            writes=carried,
            build=lambda _: StepGraph(translator, min(NUM_NEXT, V)),
            draw=partial(draw_step, V, features),
            fit="covering",
        )
        return *directions, step

    def _direction(self, model: TranslationModel, this: Pass, sizes: Sizes, V: int, features: int, H: int) -> StagePlan:
        x = spec("x", "int64", "N", "T") if this.layer == 1 else spec("x", "float32", "N", "T", features)
        carried = state_of(model, this.name)
        return StagePlan(
            name=this.name,
            sizes=sizes,
            inputs=(x,),
            outputs=(spec("features", "float32", "N", "T", H),),
            reads=carried,
            writes=carried,
            build=lambda _: StageGraph(model, this.name, carried),
            draw=partial(draw_items, (x,), V),
            direction=this.direction,
        )

    def compare(self, model: nn.Module, rungs: Rungs, rng: np.random.Generator, N: int) -> tuple[Arrays, Arrays]:
        """Compare the log-probabilities of the next pieces of random translations of padded sources."""
        read, *_, step = rungs.stages.values()
        S = max(step.sizes)
        source, target, lengths = read.draw(rng, N, S)["x"], read.draw(rng, N, PIECES)["x"], draw_lengths(rng, N, S)
        memory = each_alone(partial(run_layers, rungs), {"x": source}, lengths)
        log_probs = model(*map(torch.from_numpy, (source, lengths, target))).log_softmax(dim=2).numpy()
        found: Arrays = {}
        expected: Arrays = {}
        state = rungs.initial_state(N)
        for t in range(PIECES):
            answer = rungs.run(step, S, {"token": target[:, t], "memory": memory, "length": lengths}, state)
            state, found[f"log_probs{t}"] = answer.state, answer.outputs["log_probs"]
            expected[f"log_probs{t}"] = np.take_along_axis(log_probs[:, t], answer.outputs["tokens"], axis=1)
        return found, expected

    def task(self, tokenizer: Path | None, model: nn.Module, stages: Stages) -> TranslationTask:
        translator = cast(TranslationModel, model)
        return TranslationTask(
            source="en",
            target=translator.language,
            start=START_ID,
            end=END_ID,
            length_penalty=translator.length_penalty,
        )

    def draw(self, bundle: Bundle, stage: Stage) -> Draw:
        V = num_words(bundle)
        if stage.name != STEP:
            return partial(draw_items, stage.inputs, V)
        (features,) = (int(tensor.shape[-1]) for tensor in stage.inputs if tensor.name == "memory")
        return partial(draw_step, V, features)


class StepGraph(nn.Module):
    """Reads one piece and returns the most probable next ones.

    Args:
        model: The prepared model.
        num_next: How many of them.
    """

    def __init__(self, model: TranslationModel, num_next: int) -> None:
        super().__init__()
        self.model = model
        self.num_next = num_next

    def forward(self, token: Tensor, memory: Tensor, length: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return tokens, int64 (N, K), best first, their log-probabilities, float32 (N, K), attention, float32 (N, S),
        and the next state; see `TranslationModel.step`."""
        log_probs, attention, *state_next = self.model.step(token, memory, length, *state)
        best, tokens = torch.topk(log_probs, self.num_next)
        return tokens, best, attention, *state_next


def draw_step(V: int, features: int, rng: np.random.Generator, N: int, S: int) -> Arrays:
    """Draw inputs of a decoder step, for sources that fill more than half of S."""
    lengths = rng.integers(S // 2 + 1, S + 1, size=N)
    is_there = np.arange(S) < lengths[:, None]
    memory = np.where(is_there[:, :, None], draw_features(rng, N, S, features), np.float32(0))
    return {"token": rng.integers(V, size=N), "memory": memory, "length": lengths}


RECIPE = TranslationRecipe()
