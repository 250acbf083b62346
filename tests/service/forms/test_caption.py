"""Images as they are sent."""

import re

import pytest

from service.api.body import parsed
from service.errors import InvalidInput
from service.forms.caption import MAX_IMAGE_CHARACTERS, CaptionRequest
from tests.paths import DOCS

PAGE = (DOCS / "captions.md").read_text()


def test_a_file_has_a_size_that_the_refusal_and_the_page_tell() -> None:
    parsed(CaptionRequest, b'{"image": "%b"}' % (b"a" * MAX_IMAGE_CHARACTERS))
    with pytest.raises(InvalidInput, match=f"at most {MAX_IMAGE_CHARACTERS} characters, which are 768 KiB") as refused:
        parsed(CaptionRequest, b'{"image": "%b"}' % (b"a" * (MAX_IMAGE_CHARACTERS + 1)))
    assert refused.value.errors[0][0] == ("image",)
    assert re.search(f"{MAX_IMAGE_CHARACTERS:,} characters, which are 768 KiB", PAGE)
