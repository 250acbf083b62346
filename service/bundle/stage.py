"""The stages of a bundle, and the tensors that their graphs read and write."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from service.bundle.manifest_model import FileName, ManifestModel

ITEM_STAGE = "encode"  # consumes the items of sessions
MAX_RUNG = 64

DType = Literal["float32", "float64", "int64"]
Axis = int | Literal["N", "T"]
Fit = Literal["exact", "covering"]
Direction = Literal["forward", "backward"]


class TensorSpec(ManifestModel):
    """A named tensor of a graph. In `shape`, "N" is the batch axis and "T" the rung's size."""

    name: str = Field(description="Name of the tensor in the graphs")
    dtype: DType = Field(description="Data type of the values")
    shape: tuple[Axis, ...] = Field(description='Shape; "N" is the number of sessions, "T" that of items')

    @property
    def batch_axis(self) -> int:
        """Position of N in the shape."""
        return self.shape.index("N")

    def sized(self, num_rows: int, rung: int) -> tuple[int, ...]:
        """Return the shape of a batch with N = `num_rows` and T = `rung`."""
        lengths = {"N": num_rows, "T": rung}
        return tuple(lengths[axis] if isinstance(axis, str) else axis for axis in self.shape)

    @model_validator(mode="after")
    def _one_batch_axis(self) -> Self:
        if self.shape.count("N") != 1:
            raise ValueError(f"tensor {self.name!r} must have exactly one axis 'N'")
        return self


class StateSpec(TensorSpec):
    """A recurrent tensor: the graph reads it as `name` and writes it as `<name>_next`."""

    initial: float = Field(description="Initial value of every element in a new session")

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one session's row: the shape without its batch axis."""
        return tuple(axis for axis in self.shape if isinstance(axis, int))


class Stage(ManifestModel):
    """One stage of a model: a ladder of graphs that differ only in their length T.

    Attributes:
        name: For instance "encode", which consumes the items of sessions.
        direction: A forward stage streams; a backward one needs the whole input.
        fit: Whether lengths are cut into rungs exactly, which takes a rung of 1, or run by the shortest rung that
            covers them.
        rungs: File of each rung, by T.
        inputs: Inputs besides the state.
        outputs: Outputs besides the next state.
        reads: Names of the state tensors that are inputs.
        writes: Names of the state tensors whose next value is an output.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    direction: Direction = "forward"
    fit: Fit = "exact"
    rungs: dict[int, FileName] = Field(min_length=1)
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @model_validator(mode="after")
    def _rungs_within_limits(self) -> Self:
        wrong = [size for size in self.rungs if not 1 <= size <= MAX_RUNG]
        if wrong:
            raise ValueError(f"rungs of stage {self.name!r} must be 1 to {MAX_RUNG}, not {wrong}")
        return self

    @model_validator(mode="after")
    def _can_be_cut(self) -> Self:
        if self.fit == "covering" or set(self.rungs) == {1}:
            return self
        way_out = '"fit": "exact" is the default, and a stage whose rungs cover lengths has "fit": "covering"'
        if 1 not in self.rungs:
            raise ValueError(f"stage {self.name!r} needs a rung of 1 beside {sorted(self.rungs)}: {way_out}")
        if not any("T" in tensor.shape for tensor in self.inputs):
            raise ValueError(f"stage {self.name!r} has no input to cut, with an axis 'T': {way_out}")
        return self
