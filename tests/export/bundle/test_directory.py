"""The directory of a bundle is the former one or the new one, whatever happens in between."""

from pathlib import Path

import pytest

from export.bundle.directory import new_directory, replace


def test_a_bundle_that_cannot_be_replaced_is_still_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = tmp_path / "bundle"
    destination.mkdir()
    (destination / "manifest.json").write_text("former")
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        if path.name == "bundle" and path != destination:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), new_directory(destination) as directory:
        replace(directory, destination)
    assert (destination / "manifest.json").read_text() == "former"
    assert list(tmp_path.iterdir()) == [destination]


def test_an_interruption_right_after_the_bundle_was_moved_away_brings_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = tmp_path / "bundle"
    destination.mkdir()
    (destination / "manifest.json").write_text("former")
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        if path == destination:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), new_directory(destination) as directory:
        replace(directory, destination)
    assert (destination / "manifest.json").read_text() == "former"
