"""The text tokenizers, one for training and serving, saved as tokenizer.json of Hugging Face's `tokenizers`.

Both are chunk-additive, since a session tokenizes pieces as they arrive: the ids of a text are those of its
whitespace-delimited chunks in a row (of any pieces, for characters).
"""

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

UNKNOWN = "[UNK]"

# What people type instead of the 65 characters of tinyshakespeare, code point by code point.
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
    """A tokenizer whose ids 0, 1, .. are the sorted characters of `text`, after `CHARACTER_FOLDING`.

    Any other character gets the id after the last one, which no model has: whoever feeds a model checks for it.
    """
    characters = sorted(set(text))
    vocabulary = {character: i for i, character in enumerate([*characters, UNKNOWN])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(written, folded) for written, folded in CHARACTER_FOLDING.items()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    return tokenizer
