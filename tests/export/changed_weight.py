"""A bundle whose weights were changed."""

from pathlib import Path

import numpy as np
import onnx


def change_recurrent_weight(directory: Path) -> None:
    """Make one weight of the first recurrent matrix half as large again."""
    graphs = [onnx.load(path, load_external_data=False).graph for path in sorted(directory.glob("*.onnx"))]
    weights = (tensor for graph in graphs for tensor in graph.initializer)
    tensor = next(tensor for tensor in weights if tensor.name.endswith("Wh.float16"))
    offset = int({entry.key: entry.value for entry in tensor.external_data}["offset"])
    content = bytearray((directory / "weights.bin").read_bytes())
    matrix = np.frombuffer(content, dtype=np.float16, count=int(np.prod(tensor.dims)), offset=offset)
    matrix[np.abs(matrix).argmax()] *= np.float16(1.5)
    (directory / "weights.bin").write_bytes(content)
