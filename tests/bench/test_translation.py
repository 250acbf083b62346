from pathlib import Path

import pytest

from bench import translation
from bench.figure import Unavailable
from bench.options import Options


def test_missing_bundle_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translation, "BUNDLE", tmp_path / "translation-de")
    with pytest.raises(Unavailable, match="translation-de"):
        translation.measure(Options())


@pytest.mark.skipif(not translation.BUNDLE.is_dir(), reason="no bundle for translation ships")
def test_every_beam_is_measured_alone_and_in_company() -> None:
    loop = translation.TranslationLoop(translation.BUNDLE, beams=2, in_flight=3)
    sentences, used, in_graphs = loop(0.2)
    assert sentences >= 3
    assert in_graphs > 0
    assert used > 0
