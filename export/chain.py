"""A traced step, repeated: the graph of K steps without tracing each of them."""

from collections.abc import Mapping

import onnx_ir as ir
from onnx_ir.tape import Tape


def repeat(step: ir.Model, steps: int, each: str, carried: tuple[str, ...]) -> ir.Model:
    """The graph that runs the graph of a step K times; weights are shared.

    Args:
        step: Its outputs are a result (N,) and the next value of each carried input.
        steps: K.
        each: Name of the input (N,) that every step has its own of: a column of the graph's input (N, K).
        carried: Names of the inputs that a step takes from the one before. All others are the same for all steps.

    Returns:
        A graph whose outputs are the results (N, K) and the last value of each carried input.
    """
    inputs = {str(value.name): _copy(value) for value in step.graph.inputs}
    weights = {name: _copy(value) for name, value in step.graph.initializers.items()}
    inputs[each].shape = ir.Shape(["N", steps])
    graph = ir.Graph(
        list(inputs.values()), [], nodes=[], initializers=list(weights.values()), opset_imports=step.opset_imports
    )
    glue = Tape(graph)
    current, results = dict(inputs), []
    for k in range(steps):
        current[each] = glue.op("Gather", [inputs[each], glue.op("Constant", [], {"value_int": k})], {"axis": 1})
        result, *nexts = _append(graph, step.graph, {**current, **weights}, k)
        current.update(zip(carried, nexts, strict=True))
        results.append(glue.op("Unsqueeze", [result, glue.op("Constant", [], {"value_ints": [1]})]))
    collected = glue.op("Concat", results, {"axis": 1})
    collected.shape, collected.type = ir.Shape(["N", steps]), result.type
    graph.outputs.extend([collected, *(current[name] for name in carried)])
    return ir.Model(graph, ir_version=step.ir_version)


def _append(graph: ir.Graph, step: ir.Graph, given: Mapping[str, ir.Value], k: int) -> list[ir.Value]:
    """Add the nodes of a step that works on the given values; returns its outputs."""
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
