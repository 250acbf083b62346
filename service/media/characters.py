"""What is seen of a text: characters on the screen, which may be several code points or none. Pure."""

from unicodedata import category, combining, normalize

FORMAT = "Cf"  # Unicode's category of soft hyphens, zero-width spaces and joiners, marks of direction and byte order
JOINER = "\u200d"
ZERO_WIDTH_SPACE = "\u200b"  # a format character, but one that parts words
EMOJI_MODIFIERS = "\U0001f3fb", "\U0001f3ff"
REGIONAL_INDICATORS = "\U0001f1e6", "\U0001f1ff"  # two are a flag
MAX_MARKS = 30  # as in Unicode's stream-safe text format (UAX #15, section 13); no script has that many on a letter


def without_format_characters(text: str) -> str:
    """Return a text without what Unicode calls format characters, and with blanks for zero-width spaces."""
    if text.isascii():
        return text
    return "".join(each for each in text.replace(ZERO_WIDTH_SPACE, " ") if category(each) != FORMAT)


def composed(text: str) -> str:
    """Return a text composed (NFC). Of a run of more than 30 combining marks, each 30 are composed on their own.

    Sorting a run takes the square of its length.
    """
    if len(text) <= MAX_MARKS:
        return normalize("NFC", text)
    pieces: list[str] = []
    start = num_marks = 0
    for place, character in enumerate(text):
        num_marks = num_marks + 1 if combining(character) else 0
        if num_marks > MAX_MARKS:
            pieces.append(text[start:place])
            start, num_marks = place, 1
    return "".join(normalize("NFC", piece) for piece in [*pieces, text[start:]])


def seen_characters(text: str) -> list[tuple[int, int]]:
    """Return where each character on the screen begins and ends in a text.

    One such character is a code point with the combining marks, variation selectors and emoji modifiers after it, an
    emoji that is joined from several, or a flag. Format characters are none, but zero-width spaces are. Those and
    white space are not extended, so a text may be cut after them.
    """
    seen: list[tuple[int, int]] = []
    is_joined = is_half_flag = False
    for place, character in enumerate(text):
        kind = category(character)
        if kind == FORMAT and character != ZERO_WIDTH_SPACE:
            is_joined = character == JOINER
            continue
        is_indicator = _is_between(character, REGIONAL_INDICATORS)
        extends = (
            kind.startswith("M")
            or _is_between(character, EMOJI_MODIFIERS)
            or (is_joined and kind.startswith("S"))
            or (is_half_flag and is_indicator)
        )
        if extends and seen and not _is_blank(text[seen[-1][1] - 1]):
            seen[-1] = seen[-1][0], place + 1
            is_half_flag = False
        else:
            seen.append((place, place + 1))
            is_half_flag = is_indicator
        is_joined = False
    return seen


def _is_between(character: str, ends: tuple[str, str]) -> bool:
    return ends[0] <= character <= ends[1]


def _is_blank(character: str) -> bool:
    return character.isspace() or character == ZERO_WIDTH_SPACE
