"""The served models, as sessions and their steps ask for them."""

from typing import Any, Protocol

from service.tasks.task import SequenceModel


class Models(Protocol):
    """What sessions and their steps need of a catalog.

    Attributes:
        numerics: The fingerprint of what computes here, 8 bytes; see `service.engine.numerics`.
        widest: The most logits that any of them has of an item.
    """

    numerics: bytes
    widest: int

    def current(self, name: str) -> SequenceModel[Any]:
        """The version of a model that new sessions begin on.

        Raises:
            ModelUnknown: No such model is served.
            NotStreamable: There are no sessions on it.
        """

    def on(self, tag: str) -> SequenceModel[Any]:
        """The model of a bundle version, for the sessions on it.

        Raises:
            VersionUnknown: It is not served.
            NotStreamable: There are no sessions on it.
        """
