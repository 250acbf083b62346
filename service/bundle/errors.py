"""What can be wrong with a bundle.

BundleError
├── BundleDamaged           a file is missing or differs from its checksum; the manifest is not JSON
├── ManifestInvalid         this version of Unrolled cannot read the manifest
├── BundleGraphMismatch     a graph's inputs or outputs differ from those in the manifest
└── GraphUnavailable        this process has no files or memory left to open a graph
"""


class BundleError(Exception):
    """A bundle cannot be used. The message names the bundle and the reason."""


class BundleDamaged(BundleError):
    """A file of the bundle is missing or altered, or the manifest is not JSON."""


class ManifestInvalid(BundleError):
    """The manifest has another format version, an unknown field, or contradicts itself. A newer version may read it."""


class BundleGraphMismatch(BundleError):
    """A graph's inputs or outputs differ from what the manifest lists."""


class GraphUnavailable(BundleError):
    """A graph could not be opened, since this process has as many files open as it may, or no memory left."""
