"""Removes stacks of states that the next step of a chain would only split again.

Each step packs the states of its layers in one tensor (L, N, H), as a rung does, and the next step begins by unpacking
them: two copies of the state and half a dozen nodes.
"""

import onnx_ir as ir


def bypass_stacks(model: ir.Model) -> None:
    """Replace the parts of a stack by the values that were stacked. Nodes that become unused stay in the graph.

    Unsqueeze(a), Unsqueeze(b) -> Concat -> Reshape -> Split -> a, b
    """
    for node in model.graph:
        stacked = _stacked(node)
        if stacked is not None:
            for part, value in zip(node.outputs, stacked, strict=True):
                part.replace_all_uses_with(value)


def unstacked(stack: ir.Value | None) -> list[ir.Value] | None:
    """Return the values (N, ...) that a value (L, N, ...) was stacked from, or None if it is not a stack."""
    concat = stack.producer() if stack is not None else None
    if concat is None or concat.op_type != "Concat" or _axis(concat) != 0:
        return None
    parts = [value.producer() if value is not None else None for value in concat.inputs]
    if not all(part is not None and part.op_type == "Unsqueeze" and _is_first_axis(part.inputs[1]) for part in parts):
        return None
    return [part.inputs[0] for part in parts if part is not None and part.inputs[0] is not None]


def _stacked(split: ir.Node) -> list[ir.Value] | None:
    """Return the values whose stack a node splits into the same parts, or None if it does no such thing."""
    if split.op_type != "Split" or len(split.inputs) > 1 or _axis(split) != 0 or split.inputs[0] is None:
        return None
    reshape = split.inputs[0].producer()
    if reshape is None or reshape.op_type != "Reshape":
        return None
    values = unstacked(reshape.inputs[0])
    return values if values is not None and len(values) == len(split.outputs) else None


def _axis(node: ir.Node) -> int:
    return node.attributes["axis"].as_int()


def _is_first_axis(axes: ir.Value | None) -> bool:
    return axes is not None and axes.const_value is not None and axes.const_value.numpy().reshape(-1).tolist() == [0]
