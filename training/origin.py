"""Where the weights of a checkpoint come from that `python -m training` did not train."""

from training.data.source import DataSource
from training.settings import Section


class Origin(Section):
    """What a checkpoint says of weights that were trained elsewhere, besides the command that trained them.

    Attributes:
        licence: Licence of the weights.
        data: What they were trained on. An address or checksum that nobody knows is empty.
    """

    licence: str
    data: tuple[DataSource, ...]
