"""Modules to be traced, around a `StreamingModel`. They turn its named inputs and outputs into positional ones.

Inputs are the stage's own, then the state that it reads; outputs are the stage's own, then the state that it writes.
Only N is dynamic: T (items), K (tokens to sample) and M (segments ahead) are fixed when a graph is traced.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from training.models.forecaster import Forecaster
from training.models.streaming import StagedModel, StreamingModel, Tensors

NO_TOKEN = -1


class UnrolledGraph(nn.Module):
    """Advances by T items: maps x (N, T, ...) and state to the model's outputs and the next state.

    Args:
        model: A `StreamingModel`.
        reads: Names of the state tensors that are inputs; the others must not matter to `unroll`.
        outputs: Names of the model's outputs, in the graph's order.
        writes: Names of the state tensors that change, in the model's order; all by default.
    """

    def __init__(
        self, model: nn.Module, reads: Sequence[str], outputs: Sequence[str], writes: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.reads = reads
        self.writes = writes
        self.output_names = outputs

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs, then the next state tensors of `writes`."""
        model = cast(StreamingModel, self.model)
        outputs, next_state = model.unroll(x, dict(zip(self.reads, state, strict=True)))
        writes = [tensor.name for tensor in model.state] if self.writes is None else self.writes
        return (*(outputs[name] for name in self.output_names), *(next_state[name] for name in writes))


class StageGraph(nn.Module):
    """One stage of a `StagedModel`: maps x (N, T, ...) and state to the stage's output and next state.

    Args:
        model: A `StagedModel`.
        stage: Name of the stage.
        carried: Names of the stage's state tensors, in order.
        output: Name of the stage's output.
    """

    def __init__(self, model: nn.Module, stage: str, carried: Sequence[str], output: str = "features") -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        self.carried = carried
        self.output = output

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return the output, then the next state tensors."""
        return self.run_stage({"x": x}, state)

    def run_stage(self, inputs: Tensors, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Run the stage on named inputs. Returns the output, then the next state tensors."""
        model = cast(StagedModel, self.model)
        outputs, next_state = model.unroll_stage(self.stage, inputs, dict(zip(self.carried, state, strict=True)))
        return (outputs[self.output], *(next_state[name] for name in self.carried))


class WordStageGraph(StageGraph):
    """A `StageGraph` with two inputs: words, and the features of their characters."""

    def forward(self, x: Tensor, characters: Tensor, *state: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Map words x int64 (N, T) and characters float32 (N, T, C) to the output and the next state tensors."""
        return self.run_stage({"x": x, "characters": characters}, state)


class DecodeStep(nn.Module):
    """Samples one token from the pending logits and reads it.

    Args:
        model: A `StreamingModel` with `pending_logits` (N, V) in its state.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        uniform: Tensor,
        temperature: Tensor,
        top_k: Tensor,
        top_p: Tensor,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return the token, int64 (N,), and all next state tensors. `DecodeGraph` restores those of frozen rows."""
        model = cast(StreamingModel, self.model)
        current = dict(zip((tensor.name for tensor in model.state), state, strict=True))
        token = sample(current["pending_logits"], uniform, temperature, top_k, top_p)
        _, advanced = model.unroll(token.unsqueeze(1), current)
        return (token, *(advanced[tensor.name] for tensor in model.state))


class DecodeGraph(nn.Module):
    """Samples up to K tokens by repeating `DecodeStep`, so that Python runs once for K tokens.

    Once `remaining` tokens are sampled, a row is frozen: its tokens are -1 and its state stays exactly that of the
    tokens returned. Rows do not affect each other: a row of NaN decodes arbitrary tokens, but others stay the same.

    Args:
        model: A `StreamingModel` with `pending_logits` (N, V) in its state.
        steps: K.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        super().__init__()
        self.step = DecodeStep(model)
        self.steps = steps

    def forward(
        self,
        uniforms: Tensor,
        temperature: Tensor,
        top_k: Tensor,
        top_p: Tensor,
        remaining: Tensor,
        *state: Tensor,
    ) -> tuple[Tensor, ...]:
        """Return the tokens, int64 (N, K), then all state tensors.

        Args:
            uniforms: One number in [0, 1) per step, float32 (N, K).
            temperature: Float32 (N,); 0 takes the most probable token.
            top_k: How many of the most probable tokens are eligible, int64 (N,).
            top_p: Tokens are eligible until their probabilities add up to this, float32 (N,).
            remaining: How many tokens to sample, int64 (N,).
            state: All state tensors, in the model's order.
        """
        tokens = []
        for k, uniform in enumerate(uniforms.unbind(dim=1)):
            is_active = remaining > k
            token, *advanced = self.step(uniform, temperature, top_k, top_p, *state)
            tokens.append(torch.where(is_active, token, NO_TOKEN))
            state = tuple(self._freeze(is_active, *tensors) for tensors in zip(advanced, state, self.axes, strict=True))
        return (torch.stack(tokens, dim=1), *state)

    @property
    def axes(self) -> tuple[int, ...]:
        """The batch axis of each state tensor."""
        return tuple(tensor.shape.index("N") for tensor in cast(StreamingModel, self.step.model).state)

    @staticmethod
    def _freeze(is_active: Tensor, advanced: Tensor, current: Tensor, axis: int) -> Tensor:
        along = [-1 if i == axis else 1 for i in range(current.ndim)]
        return torch.where(is_active.reshape(along), advanced, current)


def sample(logits: Tensor, uniform: Tensor, temperature: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """Draw one token per row by inverting the cumulative distribution of the eligible tokens.

    Tokens are ranked by probability, ties by id. Rank 0 is always eligible; any other rank is if it is below top_k and
    the ranks before it sum to less than top_p. With u the uniform number and M the total probability of the eligible
    tokens, the token drawn is the first whose cumulative probability exceeds u M.

    Args:
        logits: Float32 (N, V).
        uniform: In [0, 1), float32 (N,).
        temperature: Divides the logits, float32 (N,); 0 always draws rank 0.
        top_k: int64 (N,).
        top_p: Float32 (N,).

    Returns:
        Token ids, int64 (N,).
    """
    V = logits.shape[1]
    is_greedy = temperature <= 0
    ranked, tokens = torch.topk(logits, V)
    # Relative to the best logit, so that no temperature makes it infinite.
    scaled = (ranked - ranked[:, :1]) / torch.where(is_greedy, 1.0, temperature).unsqueeze(1)
    cumulative = scaled.softmax(dim=1).cumsum(dim=1)
    # Eligible ranks are a prefix, since the sum before a rank only grows.
    last_allowed = (torch.where(is_greedy, 1, top_k).clamp(1, V) - 1).unsqueeze(1)
    last = torch.minimum(last_allowed, (cumulative < top_p.unsqueeze(1)).sum(dim=1, keepdim=True))
    threshold = uniform.unsqueeze(1) * cumulative.gather(1, last)
    rank = torch.minimum((cumulative <= threshold).sum(dim=1, keepdim=True), last)
    return tokens.gather(1, rank).squeeze(1)


class ForecastGraph(nn.Module):
    """Forecasts M segments from the state, which does not change.

    Args:
        model: A `Forecaster`.
        segments: M.
    """

    def __init__(self, model: nn.Module, segments: int) -> None:
        super().__init__()
        self.model = model
        self.segments = segments

    def forward(self, partial: Tensor, filled: Tensor, *state: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean, float64 (N, M, segment), and quantiles, float64 (N, M, segment, Q), from the next reading on.

        Args:
            partial: Readings of the unfinished segment, float64 (N, segment).
            filled: How many of them have arrived, int64 (N,).
            state: All state tensors, in the model's order.
        """
        model = cast(Forecaster, self.model)
        named = dict(zip((tensor.name for tensor in model.state), state, strict=True))
        answer = model.forecast(named, partial, filled, self.segments)
        mean, quantiles = answer["mean"], answer["quantiles"]
        segment = partial.shape[1]
        return (
            mean.reshape(-1, self.segments, segment),
            quantiles.reshape(-1, self.segments, segment, quantiles.shape[-1]),
        )
