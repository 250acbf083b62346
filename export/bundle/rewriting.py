"""Rewrites a bundle with another manifest: manifest and card change, the graphs stay."""

import json
import shutil

from export.bundle import card
from export.bundle.bundle import CARD, PARITY
from export.bundle.directory import new_directory, replace, write_manifest
from export.proof.report import Report
from service.bundle.manifest import Bundle, Manifest, read_bundle


def rendered(source: Bundle, manifest: Manifest) -> str:
    """Return the card of a bundle with another manifest, in Markdown."""
    report = Report.from_json(json.loads(source.file(PARITY).read_text(encoding="utf-8")))
    return card.render(manifest, report, source.path)


def rewritten(source: Bundle, manifest: Manifest) -> Bundle:
    """Replace a bundle by one with another manifest and a matching card. Returns the new bundle."""
    with new_directory(source.path) as directory:
        for name in source.manifest.files:
            shutil.copyfile(source.file(name), directory / name)
        (directory / CARD).write_text(rendered(source, manifest), encoding="utf-8")
        write_manifest(directory, manifest)
        replace(directory, source.path)
    return read_bundle(source.path)
