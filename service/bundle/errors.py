"""What can be wrong with a bundle.

BundleError
├── BundleDamaged           a file is missing or differs from its checksum; the manifest is not valid
├── BundleFormatUnknown     written in a format that this version does not read
└── BundleGraphMismatch     a graph's inputs or outputs are not those of the manifest
"""


class BundleError(Exception):
    """A bundle cannot be used. The message names the bundle and the reason."""


class BundleDamaged(BundleError):
    """A file of the bundle is missing or altered, or the manifest is not valid."""


class BundleFormatUnknown(BundleError):
    """The bundle's format version is not one that this version of Unrolled reads."""


class BundleGraphMismatch(BundleError):
    """A graph's inputs or outputs differ from what the manifest lists."""
