"""What can go wrong with an export.

ExportError
├── ParityFailed        the graphs do not give the numbers of the model, or not the same bits in every batch and cut
├── BundleTooLarge      the bundle is larger than a shipped one may be
├── DestinationTaken    the directory to write to holds something that is no bundle
├── WrongLadder         the rungs that were asked for cannot be served
├── NotDynamic          the model fixes the number of rows when it is traced
├── QualityLost         int8 graphs are further from the float32 ones than is allowed
├── NotFloat32          only a float32 bundle can be made an int8 one
├── NotQuantizable      nothing is known of the ranges of a bundle's products
├── CardDisagrees       a card gives a figure that the manifest or the graphs do not
├── NotMeasured         a run whose figures are wanted has none
├── NotASeed            figures of runs that do not differ in their seed only cannot be averaged
├── NoBundles           a directory that should hold bundles holds none
├── NameMissing         a bundle of a user's own data must be named
└── NameReserved        a bundle of a user's own data would take the place of a shipped one
"""


class ExportError(Exception):
    """The command was not carried out. The message says why. No file that was there has changed."""


class ParityFailed(ExportError):
    """A check of export.parity failed."""


class BundleTooLarge(ExportError):
    """The bundle exceeds the size limit."""


class DestinationTaken(ExportError):
    """The destination holds something other than a bundle, which is not replaced."""


class WrongLadder(ExportError):
    """The ladder has an unknown stage, a rung out of range, or no rung for single items."""


class NotDynamic(ExportError):
    """The model fixes the number of rows when it is traced."""


class QualityLost(ExportError):
    """The int8 graphs do worse on the development data than is allowed."""


class NotFloat32(ExportError):
    """The source of a quantization is not a bundle of float32 graphs, or is the destination."""


class NotQuantizable(ExportError):
    """Nothing is known of the ranges of a bundle's products."""


class CardDisagrees(ExportError):
    """A card gives a figure that the manifest or the graphs do not."""


class NotMeasured(ExportError):
    """A bundle or a run has no figures to average."""


class NotASeed(ExportError):
    """A run has other figures than the one that it is averaged with, or is the same run."""


class NoBundles(ExportError):
    """A directory that should hold bundles holds none."""


class NameMissing(ExportError):
    """A bundle of a user's own data is not named, and would take the place of a shipped one."""


class NameReserved(ExportError):
    """A bundle of a user's own data has the name of a shipped one, and would take its place."""
