"""A traced step, repeated: the graph of K steps without tracing each of them.

Every row runs all K steps, and its final state is picked from the step at which it was to stop. That is cheaper than
freezing it in every step, and gives the same bits.
"""

from collections.abc import Mapping, Sequence

import onnx_ir as ir
from onnx_ir.tape import Tape

from export.tracing.stacks import unstacked


def repeat(step: ir.Model, steps: int, each: str, carried: Mapping[str, int], length: str, frozen: int) -> ir.Model:
    """Build the graph that runs the graph of a step K times with the same weights.

    Args:
        step: Its outputs are a result int64 (N,) and the next value of each carried input.
        steps: K.
        each: Name of the input (N,) that differs by step: a column of the graph's input (N, K).
        carried: Names of the inputs that a step takes from the previous one, with their batch axes, 0 or 1. All others
            are the same for all steps.
        length: Name of the graph's last input, int64 (N,): the number of steps after which a row stops.
        frozen: The result of a row that has stopped.

    Returns:
        A graph whose outputs are the results (N, K), and for each carried input its value where the row stopped.
    """
    inputs = {str(value.name): _copy(value) for value in step.graph.inputs}
    weights = {name: _copy(value) for name, value in step.graph.initializers.items()}
    columns, inputs[each] = (
        inputs[each],
        ir.Value(name=f"{each}s", shape=ir.Shape(["N", steps]), type=inputs[each].type),
    )
    lengths = ir.Value(name=length, shape=columns.shape, type=ir.TensorType(ir.DataType.INT64))
    graph = ir.Graph(
        [*inputs.values(), lengths],
        [],
        nodes=[],
        initializers=list(weights.values()),
        opset_imports=step.opset_imports,
    )
    writer = NodeWriter(graph)
    current, results, passed = dict(inputs), [], {name: [inputs[name]] for name in carried}
    for k, column in enumerate(writer.columns(inputs[each], steps)):
        result, *nexts = _append(graph, step.graph, {**current, **weights, each: column}, k)
        current.update(zip(carried, nexts, strict=True))
        results.append(result)
        for name in carried:
            passed[name].append(current[name])
    graph.outputs.append(writer.mask_after(lengths, results, frozen))
    stops = writer.op("Clip", [lengths, writer.number(0), writer.number(steps)])
    graph.outputs.extend(writer.gather_at(stops, passed[name], axis) for name, axis in carried.items())
    return ir.Model(graph, ir_version=step.ir_version)


class NodeWriter:
    """Appends to a graph the nodes that connect its steps."""

    def __init__(self, graph: ir.Graph) -> None:
        self._tape = Tape(graph)

    def op(self, name: str, inputs: Sequence[ir.Value], **attributes: int) -> ir.Value:
        """Add an operator. Returns its result."""
        return self._tape.op(name, inputs, attributes)

    def number(self, value: int) -> ir.Value:
        """Add an int64 scalar."""
        return self._tape.op("Constant", [], {"value_int": value})

    def numbers(self, values: Sequence[int]) -> ir.Value:
        """Add an int64 vector."""
        return self._tape.op("Constant", [], {"value_ints": list(values)})

    def columns(self, matrix: ir.Value, count: int) -> Sequence[ir.Value]:
        """Split a matrix (N, K) into columns (N,)."""
        flat = self.op("Reshape", [self.op("Transpose", [matrix]), self.numbers([-1])])
        if count == 1:
            return [flat]
        return self._tape.op_multi_out("Split", [flat], {"axis": 0, "num_outputs": count}, num_outputs=count)

    def mask_after(self, lengths: ir.Value, results: Sequence[ir.Value], frozen: int) -> ir.Value:
        """Join results (N,) to (N, K), replacing those of the steps after a row's length by `frozen`."""
        K = len(results)
        by_step = self.op("Reshape", [self.op("Concat", results, axis=0), self.numbers([K, -1])])
        is_active = self.op("Less", [self.numbers(range(K)), self.op("Unsqueeze", [lengths, self.numbers([1])])])
        matrix = self.op("Where", [is_active, self.op("Transpose", [by_step]), self.number(frozen)])
        matrix.shape, matrix.type = ir.Shape(["N", K]), results[0].type
        return matrix

    def gather_at(self, stops: ir.Value, values: Sequence[ir.Value], axis: int) -> ir.Value:
        """Pick for each row the value with index `stops` (N,), of values (N, ...) or (L, N, ...)."""
        first = values[0]
        if first.shape is None or axis > 1:
            raise ValueError(f"{first.name}: the batch must be the first or second axis of a known shape")
        L = int(first.shape[0]) if axis else 1  # type: ignore[arg-type]
        rest = [int(size) for size in first.shape[axis + 1 :]]  # type: ignore[arg-type]
        N = self.op("Size", [stops])
        # As rows of one matrix, layer l of row n after s steps is number (s L + l) N + n.
        row = self.op("Range", [self.number(0), N, self.number(1)])
        index = self.op("Add", [self.op("Mul", [stops, self.op("Mul", [N, self.number(L)])]), row])
        if axis:
            layers = self.op("Mul", [self.op("Unsqueeze", [self.numbers(range(L)), self.numbers([1])]), N])
            index = self.op("Add", [layers, index])
        rows = [part for value in values for part in (unstacked(value) if axis else None) or [self._rows(value, rest)]]
        picked = self.op("Gather", [self.op("Concat", rows, axis=0), index], axis=0)
        picked.shape, picked.type = first.shape, first.type
        return picked

    def _rows(self, value: ir.Value, rest: Sequence[int]) -> ir.Value:
        return self.op("Reshape", [value, self.numbers([-1, *rest])])


def _append(graph: ir.Graph, step: ir.Graph, given: Mapping[str, ir.Value], k: int) -> list[ir.Value]:
    """Append the nodes of a step that works on the given values. Returns the outputs of the step."""
    body = step.clone()
    outputs = list(body.outputs)
    body.outputs.clear()
    for value in (*body.inputs, *body.initializers.values()):
        value.replace_all_uses_with(given[str(value.name)])
    nodes = list(body)
    body.remove(nodes)
    for node in nodes:
        for value in node.outputs:
            value.name = f"{value.name}_step{k}"
    graph.extend(nodes)
    return outputs


def _copy(value: ir.Value) -> ir.Value:
    return ir.Value(name=value.name, shape=value.shape, type=value.type, const_value=value.const_value)
