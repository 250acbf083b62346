"""Rows of state kept on a device between steps: a write-through cache in front of the store.

    rows of a batch ─► are all digests known?       ── yes ─► gather from the pool ──► state tensors
                                                     no  ─► upload the batch     ──►
    next state tensors ─► pack into the pool's next slots ─► to the host, for the store

The store remains authoritative. A row is looked up by a digest of its bytes, so a hit has the same bits as an upload,
even if another process wrote the row meanwhile. Rows that were evicted, or written by another worker, are uploaded.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort
from xxhash import xxh3_128_digest

from service.bundle.session_options import session_options
from service.bundle.stage import StateSpec
from service.device.bound import BoundGraph, WordView, bind_inputs
from service.device.device import Device
from service.device.row_graphs import fetch_graph, in_words, pack_graph, row_length
from service.device.slots import SlotRing
from service.engine.state import RowLayout


class RowPool:
    """The pool's slots, and the graphs that read and write them.

    The first slot always holds the initial row, of a sequence that has consumed nothing.
    """

    def __init__(self, device: Device, state: Sequence[StateSpec], num_slots: int) -> None:
        self.device = device
        self.state = state
        self.layout = RowLayout(state)
        self.ring = SlotRing(num_slots, [xxh3_128_digest(self.layout.initial)])
        words = [in_words(spec) for spec in state]
        rows = np.zeros((num_slots, row_length(words)), np.float32)
        rows[0] = np.frombuffer(self.layout.initial, np.float32)
        self.tensor = ort.OrtValue.ortvalue_from_numpy(rows, device.memory, 0)
        self.fetch = self._open(fetch_graph(words), is_captured=True)
        self.pack = self._open(pack_graph(words), is_captured=False)  # its output has another address each time

    def address(self, slot: int) -> int:
        """Return the address of a slot in device memory."""
        return int(self.tensor.data_ptr()) + slot * self.layout.num_bytes

    def _open(self, graph: bytes, is_captured: bool) -> ort.InferenceSession:
        session = ort.InferenceSession(graph, session_options(), providers=self.device.providers(is_captured))
        self.device.check(session)
        return session


class StateTensors:
    """The state tensors of a batch of one size.

    Attributes:
        before: The tensors that graphs read, by name.
        after: The tensors that graphs write, by name.
    """

    def __init__(self, pool: RowPool, num_rows: int) -> None:
        self._pool = pool
        self._num_rows = num_rows
        self.before = self._zeros()
        self.after = self._zeros()
        inputs = {"pool": pool.tensor, "slots": pool.device.zeros([num_rows], "int64")}
        self._fetch = BoundGraph(pool.fetch, inputs, self._words(self.before), capture=num_rows)

    def load(self, rows: Sequence[bytes]) -> None:
        """Set the state before a step from rows, at most `num_rows` of them."""
        slots = self._pool.ring.find(map(xxh3_128_digest, rows))
        if slots is None:
            self._upload(rows)
        else:
            self._fetch.put("slots", np.array(slots, np.int64))
            self._fetch.run()

    def packer(self, written: Sequence[str]) -> "Packer":
        """Return a packer for steps that write these tensors and leave the others as they were before the step."""
        after = {name: (self.after if name in written else self.before)[name] for name in self.before}
        return Packer(self._pool, self._words(after), self._num_rows)

    def _upload(self, rows: Sequence[bytes]) -> None:
        layout = self._pool.layout
        filled = [*rows, *[layout.initial] * (self._num_rows - len(rows))]
        for name, values in layout.batch(filled).tensors(self.before).items():
            self.before[name].update_inplace(np.ascontiguousarray(values))

    def _zeros(self) -> dict[str, ort.OrtValue]:
        return {spec.name: self._pool.device.zeros(self._shape(spec), spec.dtype) for spec in self._pool.state}

    def _words(self, tensors: Mapping[str, ort.OrtValue]) -> dict[str, WordView]:
        memory = self._pool.device.memory
        return {
            spec.name: WordView(tensors[spec.name], self._shape(in_words(spec)), memory) for spec in self._pool.state
        }

    def _shape(self, spec: StateSpec) -> tuple[int, ...]:
        return spec.sized(self._num_rows, rung=1)  # no state's shape depends on the rung


class Packer:
    """Packs the state after a step into rows."""

    def __init__(self, pool: RowPool, after: Mapping[str, WordView], num_rows: int) -> None:
        self._pool = pool
        self._shape = (num_rows, pool.layout.num_bytes // 4)
        # Reused for every step: a fresh page would cost more than the copy into it.
        self._host = np.zeros(self._shape, np.float32)
        self._binding = pool.pack.io_binding()
        bind_inputs(self._binding, after)
        self._binding.bind_output("copy", "cpu", 0, np.float32, self._shape, self._host.ctypes.data)

    def keep(self, num_rows: int) -> list[bytes]:
        """Write the rows after a step into the pool, and return the first `num_rows` of them."""
        ring, memory = self._pool.ring, self._pool.device.memory
        start = ring.claim(self._shape[0])
        self._binding.bind_output("rows", memory, 0, np.float32, self._shape, self._pool.address(start))
        self._pool.pack.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        rows: list[bytes] = self._host[:num_rows].view(f"V{self._pool.layout.num_bytes}")[:, 0].tolist()
        ring.fill(start, list(map(xxh3_128_digest, rows)))
        return rows


def num_slots(cache_bytes: int, state: Sequence[StateSpec], max_batch_rows: int) -> int:
    """Return the slots in a pool of this many bytes, but at least enough for two batches and the initial row."""
    return max(cache_bytes // RowLayout(state).num_bytes, 2 * max_batch_rows + 1)
