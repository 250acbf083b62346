"""`POST /v2/models/{name}/infer`: the Open Inference Protocol's request, with its sequence and binary extensions."""

import math
from typing import Any

from starlette.types import Receive, Scope, Send

from service.api import endpoints
from service.api.auth import owner_of
from service.api.body import parsed
from service.api.body_reader import BodyReader
from service.api.headers import HEADER_LENGTH, header
from service.api.media_types import JSON, OCTETS
from service.api.open_inference.signature import Signature, signature_of
from service.api.open_inference.tensors import check_size, read_tensor, write_tensors
from service.api.routes import HotHandlers
from service.api.steps import binary
from service.api.wire import (
    cancel_on_disconnect,
    check_encoding,
    check_media_type,
    enter_room,
    media_type,
    read_body,
    respond,
)
from service.catalog import Catalog
from service.concurrency.waiting import off_loop
from service.engine.job import LOGITS
from service.engine.state import Array
from service.errors import InvalidInput
from service.forms.open_inference import InferParameters, InferRequest
from service.sessions.sequences import Outputs, SequencePart, Sequences
from service.steps.answer_room import AS_A_WHOLE, AnswerRoom
from service.tasks.task import TensorModel, tensor_model


class InferRoute:
    """Runs inference requests. The handler returns the status that it has sent, or raises a refusal.

    Args:
        catalog: The models.
        sequences: Runs models on the tensors, with or without a session.
        answer_room: Makes large answers wait for memory.
        bodies: Reads the bodies of requests.
    """

    def __init__(self, catalog: Catalog, sequences: Sequences, answer_room: AnswerRoom, bodies: BodyReader) -> None:
        self._room = answer_room
        self._catalog = catalog
        self._sequences = sequences
        self._bodies = bodies

    def handlers(self) -> HotHandlers:
        """The handler of each endpoint."""
        return {endpoints.INFER_MODEL: self.infer, endpoints.INFER_VERSION: self.infer}

    async def infer(self, scope: Scope, receive: Receive, send: Send, name: str, version: str = "") -> int:
        """Answer a request to a model, or to a given version of it."""
        check_encoding(scope)
        check_media_type(media_type(scope), (JSON, OCTETS))
        content, blob = _split_body(scope, await read_body(scope, receive, self._bodies.max_bytes))
        model = tensor_model(self._catalog.served(name, version))
        signature = signature_of(model)
        check_size(content, signature.x)
        await self._bodies.wait_to_parse_for(content, receive)
        request = parsed(InferRequest, content)
        names = _names(request, signature)
        values = read_tensor(signature.x, request.inputs, blob)
        _check(model, values)
        num_items = math.prod(values.shape[:2]) if LOGITS in names else 0
        model.check_answer(num_items)
        head: dict[str, Any] = {"model_name": name, "model_version": model.bundle.version}
        if request.id is not None:
            head["id"] = request.id
        asked = request.parameters
        with self._room.of_logits(num_items * model.num_logits, AS_A_WHOLE) as holding:
            await enter_room(holding, receive)
            if asked.sequence_id:
                part = _part(asked, asked.sequence_id, f"{name}:{version}" if version else name)
                outputs = await self._take(owner_of(scope), model, part, values, names, head)
            elif names:
                outputs = await cancel_on_disconnect(receive, self._sequences.whole(model, values, names))
            else:
                raise InvalidInput(f"{name} returns no tensors: only a sequence with an id keeps what it reads")
            await _respond(send, request, head, outputs)
        return 200

    async def _take(
        self,
        owner: str,
        model: TensorModel[Any],
        part: SequencePart,
        values: Array,
        names: list[str],
        head: dict[str, Any],
    ) -> Outputs:
        """Take a part of a sequence, and add its session to the head of the answer."""
        if len(values) > 1:
            raise InvalidInput("a sequence is one row", ("inputs", 0, "shape"))
        answer, head["model_version"], outputs = await self._sequences.part(owner, model, part, values[0], names)
        head["parameters"] = {
            "sequence_id": part.sequence_id,
            "session_id": answer.session_id,
            "step": answer.step,
            **({"numerics_changed": True} if answer.is_numerics_changed else {}),
        }
        return outputs


def _split_body(scope: Scope, body: bytes) -> tuple[bytes, memoryview]:
    """Split a request into its JSON and the bytes after it."""
    kind, length = media_type(scope), header(scope["headers"], HEADER_LENGTH)
    return binary.split_body(body, length) if length or kind == OCTETS else (body, memoryview(b""))


def _names(request: InferRequest, signature: Signature) -> list[str]:
    """Return the names of the requested outputs; of all outputs if the request names none."""
    for index, output in enumerate(request.outputs):
        if output.name not in signature.names:
            raise InvalidInput(f"the model answers {signature.names}", ("outputs", index, "name"))
    return [output.name for output in request.outputs] or signature.names


def _check(model: TensorModel[Any], values: Array) -> None:
    """Raise InvalidInput if the model cannot read these items (N, T, ...)."""
    try:
        model.check_tensors(values.reshape(-1, *values.shape[2:]))
    except InvalidInput as error:
        raise InvalidInput(error.errors[0][1], ("inputs", 0, "data")) from None


def _part(asked: InferParameters, sequence_id: int | str, of: str) -> SequencePart:
    is_start, is_end = asked.sequence_start, asked.sequence_end
    return SequencePart(sequence_id, of, is_start, is_end, asked.step, asked.allow_numerics_change)


async def _respond(send: Send, request: InferRequest, head: dict[str, Any], outputs: Outputs) -> None:
    """Send outputs, each in the form that the request asks for."""
    in_binary = {output.name: output.parameters.binary_data for output in request.outputs}
    is_binary = {
        name: request.parameters.binary_data_output if (own := in_binary.get(name)) is None else own for name in outputs
    }
    size = sum(values.size for values in outputs.values())
    content, length = await off_loop(size, lambda: write_tensors(head, outputs, is_binary))
    if length is None:
        await respond(send, content)
    else:
        await respond(send, content, OCTETS.encode(), headers=[(HEADER_LENGTH, b"%d" % length)])
