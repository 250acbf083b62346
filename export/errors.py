"""What can go wrong with an export.

ExportError
├── ParityFailed        the graphs do not give the model's numbers, or not the same bits in every batch and cut
├── NotFinite           a weight of the model is infinite or no number, or is beyond what float16 can hold
├── BundleTooLarge      the bundle is larger than a shipped one may be
├── DestinationTaken    the directory to write to holds something that is not a bundle
├── NoRecipe            the task has no recipe
├── WrongLadder         the requested rungs cannot be served, or the model's cell has no ladder
├── NotDynamic          the model fixes the number of rows when it is traced
├── QualityLost         int8 graphs are worse than the float32 ones by more than is allowed
├── NotFloat32          only a float32 bundle can be quantized to int8
├── NotQuantizable      the input ranges of a bundle's matrix products are unknown
├── CardDisagrees       a card's figure differs from the manifest or from what the graphs give
├── NotMeasured         a run whose figures are needed has none
├── NotASeed            figures are averaged only over runs that differ in nothing but their seed
├── NoBundles           a directory that should hold bundles holds none
├── OriginMissing       weights that were not trained here do not say where they come from
├── NotServable         a bundle's manifest contradicts itself, or its graphs do not run
├── NameMissing         a bundle of a user's own data or weights must be named
└── NameReserved        a bundle of a user's own data or weights would take the place of a shipped one
"""


class ExportError(Exception):
    """The command was not carried out. The message says why. No existing file has changed."""


class ParityFailed(ExportError):
    """A check of export.proof.parity failed."""


class NotFinite(ExportError):
    """A weight of the model is infinite or no number, or is beyond what float16 can hold."""


class BundleTooLarge(ExportError):
    """The bundle exceeds the size limit."""


class DestinationTaken(ExportError):
    """The destination holds something that is not a bundle. It is not replaced."""


class NoRecipe(ExportError):
    """The task has no recipe."""


class WrongLadder(ExportError):
    """The ladder has an unknown stage, a rung out of range, or no rung for single items, or there is none."""


class NotDynamic(ExportError):
    """The model fixes the number of rows when it is traced."""


class QualityLost(ExportError):
    """The int8 graphs do worse on the development data than is allowed."""


class NotFloat32(ExportError):
    """The source of a quantization is not a bundle of float32 graphs, or is the destination."""


class NotQuantizable(ExportError):
    """The input ranges of a bundle's matrix products are unknown."""


class CardDisagrees(ExportError):
    """A card's figure differs from the manifest or from what the graphs give."""


class NotMeasured(ExportError):
    """A bundle or a run has no figures to average."""


class NotASeed(ExportError):
    """A run differs in more than its seed from the one that it is averaged with, or is the same run."""


class NoBundles(ExportError):
    """A directory that should hold bundles holds none."""


class OriginMissing(ExportError):
    """Weights that were not trained here do not say where they come from."""


class NotServable(ExportError):
    """The manifest of a bundle contradicts itself, or a graph does not run on what its task reads."""


class NameMissing(ExportError):
    """A bundle of a user's own data or weights has no name of its own, and would take the place of a shipped one."""


class NameReserved(ExportError):
    """A bundle of a user's own data or weights has the name of a shipped one, and would take its place."""
