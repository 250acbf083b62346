"""What is seen of a text: characters on the screen, which may be several code points or none. Pure."""

from unicodedata import category

FORMAT = "Cf"  # Unicode's category of soft hyphens, zero-width spaces and joiners, marks of direction and byte order
JOINER = "\u200d"
EMOJI_MODIFIERS = "\U0001f3fb", "\U0001f3ff"
REGIONAL_INDICATORS = "\U0001f1e6", "\U0001f1ff"  # two are a flag


def without_format_characters(text: str) -> str:
    """Return a text without what Unicode calls format characters."""
    return text if text.isascii() else "".join(each for each in text if category(each) != FORMAT)


def seen_characters(text: str) -> list[tuple[int, int]]:
    """Return where each character on the screen begins and ends in a text.

    One such character is a code point with the combining marks, variation selectors and emoji modifiers after it, an
    emoji that is joined from several, or a flag. Format characters are none. White space is not extended, so a text
    may be cut after it.
    """
    seen: list[tuple[int, int]] = []
    is_joined = is_half_flag = False
    for place, character in enumerate(text):
        kind = category(character)
        if kind == FORMAT:
            is_joined = character == JOINER
            continue
        is_indicator = _is_between(character, REGIONAL_INDICATORS)
        extends = (
            kind.startswith("M")
            or _is_between(character, EMOJI_MODIFIERS)
            or (is_joined and kind.startswith("S"))
            or (is_half_flag and is_indicator)
        )
        if extends and seen and not text[seen[-1][1] - 1].isspace():
            seen[-1] = seen[-1][0], place + 1
            is_half_flag = False
        else:
            seen.append((place, place + 1))
            is_half_flag = is_indicator
        is_joined = False
    return seen


def _is_between(character: str, ends: tuple[str, str]) -> bool:
    return ends[0] <= character <= ends[1]
