"""The tokenizers for characters and for words, the same for training and serving.

They are saved as tokenizer.json of Hugging Face's `tokenizers`. A session tokenizes pieces of a text as they arrive, so
the ids of a text must be those of its whitespace-delimited chunks in a row; for characters, those of any pieces.
"""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

UNKNOWN = "[UNK]"
UNKNOWN_WORD_ID = 0  # of every tokenizer of words

# Characters that people type instead of the 65 of tinyshakespeare, and what they are replaced by.
CHARACTER_FOLDING = {
    "\u2018": "'",  # curly single quotes
    "\u2019": "'",
    "\u201a": "'",
    "\u201b": "'",
    '"': "'",  # the text has no double quote
    "\u201c": "'",
    "\u201d": "'",
    "\u201e": "'",
    "\u2010": "-",  # hyphens and dashes
    "\u2011": "-",
    "\u2012": "-",
    "\u2013": "-",
    "\u2014": "--",
    "\u2015": "--",
    "\u2212": "-",  # minus sign
    "\u2026": "...",  # ellipsis
    "\u00a0": " ",  # no-break spaces
    "\u202f": " ",
    "\t": " ",
    "\r": "",
}


def character_tokenizer(text: str) -> Tokenizer:
    """Build a tokenizer whose ids 0, 1, .. are the sorted characters of `text`, after `CHARACTER_FOLDING`.

    Characters of the text are not folded, and none is folded to a character that the text lacks. All other characters
    get the id of [UNK], the last one. Models do not have it, so callers must check for it.
    """
    characters = sorted(set(text))
    vocabulary = {character: i for i, character in enumerate([*characters, UNKNOWN])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(written, folded)
            for written, folded in CHARACTER_FOLDING.items()
            if written not in text and set(folded) <= set(characters)
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return tokenizer


# From plain English to the Penn Treebank's spelling, which SST has. In this direction no folding shortens the text, so
# the offsets of a token span everything that the user wrote for it.
WORD_FOLDING = {
    "(": "-lrb-",
    ")": "-rrb-",
    "[": "-lsb-",
    "]": "-rsb-",
    "{": "-lcb-",
    "}": "-rcb-",
    "\u2018": "'",
    "\u2019": "'",
    "`": "'",
    '"': "''",
    "\u201c": "''",
    "\u201d": "''",
    "\u2013": "-",
    "\u2014": "--",
}

# The first alternative that matches at a position is a token. Contractions are split as in the Penn Treebank.
# Hyphenated words are split too: most of them are too rare to be learnt whole.
WORD_PATTERN = (
    r"-[lr][rsc]b-|\\[/*]|''"  # Treebank spellings of one character
    r"|\p{L}+(?=n't(?!\p{L}))|n't(?!\p{L})"  # do n't
    r"|can(?=not(?!\p{L}))"  # can not
    r"|'(?:s|m|d|re|ve|ll)(?!\p{L})"  # it 's
    r"|\p{L}+|\p{N}+|\.\.\.|--|\S"
)


def word_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Build a tokenizer. Its vocabulary is [UNK] with id 0, then every word of `texts`, most frequent first.

    Plain English and tokenized text get the same ids: "(don't)" those of "-lrb- do n't -rrb-". Offsets refer to the
    original text. Case, accents and the kind of quote or dash do not matter.
    """
    tokenizer = Tokenizer(models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            # NFKD separates letters from their accents, and maps wide forms and ligatures to plain letters.
            normalizers.NFKD(),
            normalizers.Replace(Regex(r"\p{M}|\p{Cf}"), ""),
            # Python counts these as blanks, and so do callers that cut a text into chunks, but the library does not.
            normalizers.Replace(Regex(r"[\x1c-\x1f]"), " "),
            normalizers.Lowercase(),
            *(normalizers.Replace(written, folded) for written, folded in WORD_FOLDING.items()),
            normalizers.Replace(Regex(r"(?<!\\)/"), r"\/"),
            normalizers.Replace(Regex(r"(?<!\\)\*"), r"\*"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated")]
    )
    words = count_words(tokenizer, texts)
    ranked = sorted(words, key=lambda word: (-words[word], word))
    vocabulary = {word: i for i, word in enumerate([UNKNOWN, *ranked])}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    return tokenizer


def count_words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """Count the words of texts as the tokenizer splits them."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(words_of(tokenizer, text))
    return words


def words_of(tokenizer: Tokenizer, text: str) -> list[str]:
    """Return the words of a text, normalised and split by the tokenizer."""
    normal = tokenizer.normalizer.normalize_str(text)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]
