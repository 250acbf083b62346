"""Problems of a fixed length from the data of the shipped tasks, with targets of the last step only."""

from abc import abstractmethod

import numpy as np
import torch
from torch import Generator, Tensor

from training.data import etth1, sst2, tinyshakespeare
from training.data.series import slice_of
from training.diagnosis.problems import Batch, Problem
from training.tasks.sentiment import group_by_length
from training.text.vocabulary import character_tokenizer, word_tokenizer

HORIZON = 24


class Windows(Problem):
    """Random windows of training data that are held in memory."""

    def draw(self, N: int, generator: Generator) -> Batch:
        """Draw N windows independently."""
        index = torch.randint(self.num_windows, (N,), generator=generator, device=generator.device)
        return self.windows(index)

    @property
    @abstractmethod
    def num_windows(self) -> int:
        """Number of windows."""

    @abstractmethod
    def windows(self, index: Tensor) -> Batch:
        """The windows with these numbers, int64 (N,), on the device of `index`."""


class Characters(Windows):
    """The next character of Shakespeare after T characters, for the last one only."""

    unit = "cross entropy, nats"
    is_token = True

    def __init__(self, T: int) -> None:
        text = tinyshakespeare.split(tinyshakespeare.load())["train"]
        tokenizer = character_tokenizer(text)
        self._ids = torch.tensor(tokenizer.encode(text).ids)
        V = tokenizer.get_vocab_size()
        super().__init__(T, length=T, input_size=V, output_size=V)

    @property
    def num_windows(self) -> int:
        """One from every character on."""
        return len(self._ids) - self.T

    def windows(self, index: Tensor) -> Batch:
        """x (N, T) and the character that follows, y (N, 1)."""
        ids = self._ids.to(index.device)[index.unsqueeze(1) + torch.arange(self.T + 1, device=index.device)]
        return ids[:, :-1], ids[:, -1:]


class Words(Windows):
    """Whether a phrase of exactly T words is positive, after its last word: SST-2's training phrases."""

    unit = "cross entropy, nats"
    is_token = True

    def __init__(self, T: int) -> None:
        examples = sst2.load("train")
        tokenizer = word_tokenizer(example.sentence for example in examples)
        groups = [group for group in group_by_length(tokenizer, examples) if group.ids.shape[1] == T]
        if not groups:
            raise ValueError(f"SST-2 has no phrase of {T} words")
        self._ids, self._labels = torch.from_numpy(groups[0].ids), torch.from_numpy(groups[0].labels)
        super().__init__(T, length=T, input_size=tokenizer.get_vocab_size(), output_size=2)

    @property
    def num_windows(self) -> int:
        """The phrases of this length."""
        return len(self._labels)

    def windows(self, index: Tensor) -> Batch:
        """Word ids x (N, T) and labels y (N, 1)."""
        return self._ids.to(index.device)[index], self._labels.to(index.device)[index].unsqueeze(1)


class Readings(Windows):
    """The next 24 hours of one channel of ETTh1 after T hours, all channels alike, standardised."""

    unit = "MSE, standardised readings"

    def __init__(self, T: int) -> None:
        rows = etth1.series().standardized[slice_of(etth1.SPLITS["train"])]
        self._channels = torch.from_numpy(np.ascontiguousarray(rows.T, dtype=np.float32))  # (channels, rows)
        super().__init__(T, length=T, input_size=1, output_size=HORIZON)

    @property
    def num_windows(self) -> int:
        """One from every row of every channel that leaves room for what is asked."""
        return len(self._channels) * self._starts

    @property
    def _starts(self) -> int:
        return self._channels.shape[1] - self.T - HORIZON + 1

    def windows(self, index: Tensor) -> Batch:
        """x (N, T, 1) and the readings that follow, y (N, 1, 24)."""
        channel, start = index // self._starts, index % self._starts
        hours = start.unsqueeze(1) + torch.arange(self.T + HORIZON, device=index.device)
        readings = self._channels.to(index.device)[channel.unsqueeze(1), hours]
        return readings[:, : self.T].unsqueeze(2), readings[:, self.T :].unsqueeze(1)
