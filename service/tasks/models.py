"""The served models, as sessions and their steps see them."""

from typing import Any, Protocol

from service.tasks.task import SequenceModel


class Models(Protocol):
    """What sessions and their steps need from a catalog.

    Attributes:
        numerics: The fingerprint of this process's numerics, 8 bytes; see `service.engine.numerics`.
        max_num_logits: The largest number of logits per item of any model.
    """

    numerics: bytes
    max_num_logits: int

    def session_model(self, name: str) -> SequenceModel[Any]:
        """Return the version of a model that new sessions begin on.

        Raises:
            ModelUnknown: No such model is served.
            NotStreamable: The model has no sessions.
        """

    def session_model_by_tag(self, tag: str) -> SequenceModel[Any]:
        """Return the model of a bundle version, for the sessions on it.

        Raises:
            VersionUnknown: It is not served.
            NotStreamable: The model has no sessions.
        """
