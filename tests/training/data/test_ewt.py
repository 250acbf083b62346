import os
from pathlib import Path

import pytest

from training.data import ewt
from training.data.ewt import Sentence, Word
from training.data.source import BrokenLineError, MissingFileError

FILE = Path("ewt.conllu")
NEEDS_DATA = pytest.mark.skipif(
    not os.environ.get("UNROLLED_DATA_DIR"), reason="UNROLLED_DATA_DIR names no directory with the real data"
)
TEXT = """# newdoc id = d1
# sent_id = 1
# text = I don't.
1\tI\tI\tPRON\tPRP\tCase=Nom\t2\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_

# text = Go = stop
1\tGo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
2\t=\t=\tSYM\tSYM\t_\t1\tpunct\t_\t_
3\tstop\tstop\tVERB\tVB\t_\t1\tconj\t_\t_
"""


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), TEXT.rstrip("\n")])
def test_words_are_read_and_surface_tokens_and_empty_nodes_are_not(text: str) -> None:
    first, second = ewt.parse(text, FILE)
    assert first == Sentence(
        "I don't.",
        (
            Word("I", "PRON", "PRP", "Case=Nom", "nsubj"),
            Word("do", "AUX", "VBP", "_", "root"),
            Word("n't", "PART", "RB", "_", "advmod"),
            Word(".", "PUNCT", ".", "_", "punct"),
        ),
        opens_document=True,
    )
    assert (second.text, [word.form for word in second.words]) == ("Go = stop", ["Go", "=", "stop"])
    assert not second.opens_document


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (TEXT.replace("\t.\tPUNCT\t.\t_\t2", "\t.\tPUNCT\t.\t2"), 9, "expected 10 columns, not 9"),
        (TEXT.replace("SYM\tSYM", "SIGN\tSYM"), 12, "the tag 'SIGN'"),
    ],
)
def test_broken_line_is_an_error_that_names_file_and_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(BrokenLineError, match=rf"ewt\.conllu, line {line}: .*{reason}"):
        list(ewt.parse(text, FILE))


@pytest.mark.parametrize("is_named", [True, False])
def test_missing_test_split_is_an_error_that_names_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    monkeypatch.setenv("UNROLLED_DATA_DIR", str(tmp_path) if is_named else "")
    with pytest.raises(MissingFileError, match=r"tagging/en_ewt-ud-test\.conllu\.gz.*UNROLLED_DATA_DIR"):
        ewt.load("test")


@pytest.mark.data
@NEEDS_DATA
def test_real_files_have_the_published_counts() -> None:
    counts = {}
    for split in ("train", "dev"):
        sentences = ewt.load(split)
        counts[split] = (len(sentences), sum(len(sentence.words) for sentence in sentences))
    assert counts == {"train": (12_544, 204_577), "dev": (2_001, 25_147)}
