"""Words and their characters in, logits of a tag for each word out: LSTMs over characters, then over words.

A word's features are its embedding and an LSTM's last state over its characters (Ling et al. 2015, arXiv:1508.02096;
Nguyen and Verspoor 2018, arXiv:1807.03955). If read in both directions, a tag depends on the whole sentence. If read
only from left to right, words and their characters may arrive one by one.

Training runs torch's fused LSTMs. Export and serving use `unroll_stage`, which computes the same numbers step by step.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import embedding

from training.models.bidirectional import BidirectionalLSTM, last_items, unroll_lstm
from training.models.dropout import LockedDropout
from training.models.streaming import Pass, StatefulModule, StateTensor, Tensors, passes_by_name
from training.recurrence.cells import LSTMCell
from training.recurrence.initialisation import initialise_torch
from training.settings import Section

# Known characters, with ids 1, 2, ... All others have id 0.
CHARACTERS = tuple(map(chr, range(33, 127))) + tuple("\u2018\u2019\u201c\u201d\u2013\u2014…·•£€éèáíóúñçüöäÉ")
# The middle of longer words is cut out.
LONGEST_WORD = 40

HEAD, ENCODE = "head", "encode"
OVER_CHARACTERS = {
    each.name: each for each in (Pass("characters_forward", "forward"), Pass("characters_backward", "backward"))
}


class TaggingModelSettings(Section):
    """Sizes and regularisation."""

    bidirectional: bool = Field(default=True, description="also read sentences and words from right to left")
    word_size: int = Field(default=64, ge=1, description="size of a word's embedding")
    character_size: int = Field(default=32, ge=1, description="size of a character's embedding")
    character_hidden_size: int = Field(default=48, ge=1, description="hidden units of each direction over characters")
    hidden_size: int = Field(default=128, ge=1, description="hidden units of each direction over words")
    layers: int = Field(default=2, ge=1, description="layers over words")
    input_dropout: float = Field(default=0.3, ge=0, lt=1, description="variational dropout of the word vectors")
    dropout: float = Field(
        default=0.5, ge=0, lt=1, description="variational dropout between layers and before the head"
    )


class Words(NamedTuple):
    """A padded batch of sentences. Each of its U distinct spellings is read only once.

    Args:
        ids: Word ids, int64 (N, T).
        lengths: Words of each sentence, int64 (N,).
        spellings: Index of each word's spelling, int64 (N, T).
        characters: Character ids of each spelling, padded, int64 (U, K).
        spelling_lengths: Characters of each spelling, int64 (U,).
    """

    ids: Tensor
    lengths: Tensor
    spellings: Tensor
    characters: Tensor
    spelling_lengths: Tensor


class TaggingModel(StatefulModule):
    """A tagger of words.

    Args:
        vocabulary_size: Number of words, [UNK] included.
        num_tags: Number of tags.
        settings: Sizes and regularisation.
        auxiliary: Number of tags of each other kind, for auxiliary losses in training. They are not served.
    """

    def __init__(
        self,
        vocabulary_size: int,
        num_tags: int,
        settings: TaggingModelSettings,
        auxiliary: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        H, Hc = settings.hidden_size, settings.character_hidden_size
        directions = 2 if settings.bidirectional else 1
        self.settings = settings
        self.embedding = nn.Embedding(vocabulary_size, settings.word_size)
        self.character_embedding = nn.Embedding(len(CHARACTERS) + 1, settings.character_size)
        sizes = [settings.word_size + directions * Hc] + [directions * H] * (settings.layers - 1)
        self.characters = _lstm(settings.bidirectional, settings.character_size, Hc)
        self.layers = nn.ModuleList([_lstm(settings.bidirectional, C, H) for C in sizes])
        self.input_dropout = LockedDropout(settings.input_dropout)
        self.dropout = LockedDropout(settings.dropout)
        self.head = nn.Linear(directions * H, num_tags)
        self.auxiliary = nn.ModuleDict(
            {name: nn.Linear(directions * H, count) for name, count in (auxiliary or {}).items()}
        )
        self.over_characters = {
            name: each
            for name, each in OVER_CHARACTERS.items()
            if settings.bidirectional or each.direction == "forward"
        }
        self.over_words = passes_by_name(settings.layers) if settings.bidirectional else {}
        self.state = tuple(self._state())
        nn.init.normal_(self.embedding.weight, std=0.1)
        nn.init.normal_(self.character_embedding.weight, std=0.3)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, in the order in which a sentence passes through them."""
        return (*self.over_characters, *self.over_words, HEAD if self.settings.bidirectional else ENCODE)

    def _state(self) -> Iterator[StateTensor]:
        H, Hc, L = self.settings.hidden_size, self.settings.character_hidden_size, self.settings.layers
        shapes: dict[str, tuple[int | str, ...]] = dict.fromkeys(self.over_characters, ("N", Hc))
        shapes |= dict.fromkeys(self.over_words, ("N", H)) if self.settings.bidirectional else {ENCODE: (L, "N", H)}
        for stage, shape in shapes.items():
            yield StateTensor(f"{stage}_h", "float32", shape)
            yield StateTensor(f"{stage}_c", "float32", shape)

    def forward(self, words: Words) -> tuple[Tensor, dict[str, Tensor]]:
        """Run the fused path.

        Returns:
            Logits (N, T, tags), and those of the auxiliary kinds of tag, by name.
        """
        letters = self.character_embedding(words.characters)
        if isinstance(self.characters, BidirectionalLSTM):
            spelt = self.characters.ends(letters, words.spelling_lengths)
        else:
            spelt = last_items(self.characters(letters)[0], words.spelling_lengths)
        y = torch.cat([self.embedding(words.ids), embedding(words.spellings, spelt)], dim=2)
        y = self.input_dropout(y)
        for layer in self.layers:
            y = layer(y, words.lengths) if isinstance(layer, BidirectionalLSTM) else layer(y)[0]
            y = self.dropout(y)
        return self.head(y), {name: head(y) for name, head in self.auxiliary.items()}

    def unroll_stage(self, stage: str, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """Run items through a stage, step by step: see `StagedModel`.

        Stages over characters read their ids "x", int64 (N, T). The first layer over words reads their ids "x", int64
        (N, T), and the features of their characters, "characters" (N, T, Hc of each direction). Later stages read "x",
        the features of both directions of the layer below. Stages return "features", the last one "logits".
        """
        if stage == HEAD:
            return {"logits": self.head(inputs["x"])}, {}
        if stage == ENCODE:
            return self._encode(inputs, state)
        if stage in self.over_characters:
            x = self.character_embedding(inputs["x"])
            cell = _cell(self.characters, self.over_characters[stage])
        else:
            this = self.over_words[stage]
            x = self._words(inputs) if this.layer == 1 else inputs["x"]
            cell = _cell(self.layers[this.layer - 1], this)
        features, h, c = unroll_lstm(cell, x, state[f"{stage}_h"], state[f"{stage}_c"])
        return {"features": features}, {f"{stage}_h": h, f"{stage}_c": c}

    def _words(self, inputs: Tensors) -> Tensor:
        return torch.cat([self.embedding(inputs["x"]), inputs["characters"]], dim=2)

    def _encode(self, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        """Run all layers of a model that reads from left to right only, and its head."""
        y = self._words(inputs)
        last: list[tuple[Tensor, Tensor]] = []
        layers = zip(self.layers, state["encode_h"].unbind(), state["encode_c"].unbind(), strict=True)
        for layer, h, c in layers:
            y, *ends = unroll_lstm(LSTMCell.from_torch(cast(nn.LSTM, layer)), y, h, c)
            last.append((ends[0], ends[1]))
        h_next, c_next = (torch.stack(tensors) for tensors in zip(*last, strict=True))
        return {"logits": self.head(y)}, {"encode_h": h_next, "encode_c": c_next}


def _lstm(bidirectional: bool, input_size: int, hidden_size: int) -> nn.Module:
    if bidirectional:
        return BidirectionalLSTM(input_size, hidden_size)
    lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
    initialise_torch(lstm)
    return lstm


def _cell(module: nn.Module, this: Pass) -> LSTMCell:
    lstm = module.lstm(this.direction) if isinstance(module, BidirectionalLSTM) else cast(nn.LSTM, module)
    return LSTMCell.from_torch(lstm)
