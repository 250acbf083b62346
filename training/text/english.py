"""The taggers' tokenizer: splits English words as UD's English treebanks do, as far as one pattern can.

Contractions are split ("do|n't", "it|'s", "gon|na", "can|not"). Punctuation stands alone, except for runs of the same
mark ("...", "!!", "--"). Hyphenated words are split at their hyphens unless the first part is a prefix ("e-mail").
Addresses, numbers with their marks ("3.5", "10:30"), smileys, abbreviations ("U.S.", "Mr.") and initials stay whole.

Training and serving use the same tokenizer, saved as tokenizer.json of Hugging Face's `tokenizers`. Its pre-tokenizer
splits a text into words. Its vocabulary has the frequent ones in lower case, with all digits as 0.
"""

from collections import Counter
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from training.text.vocabulary import UNKNOWN

_END = r"(?![\p{L}\p{N}])"
_APOSTROPHE = "['\u2019]"
_ABBREVIATIONS = (
    r"Mr|Mrs|Ms|Dr|Prof|Rev|Hon|Gen|Col|Lt|Sgt|Capt|Sen|Rep|Gov|Pres|St|Ave|Blvd|Jr|Sr|Inc|Corp|Co|Ltd|Bros|vs|etc|al"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|Mon|Tue|Wed|Thu|Fri|Sat|Sun|Vol|Fig|No(?=\.\d)|Ph\.D|e\.g|i\.e"
    r"|a\.m|p\.m"
)
_PREFIXES = (
    r"e|co|non|anti|pre|post|re|ex|multi|semi|mid|un|inter|sub|super|pro|bi|de|mini|micro|ultra|neo|counter|vice"
)

# The first alternative that matches at a position is a word.
WORD_PATTERN = "|".join(
    (
        r"(?:[a-zA-Z]+://|www\.)\S*[\p{L}\p{N}/]",  # addresses
        r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
        r"[@#]\w+",
        rf"[\w-]+(?:\.[\w-]+)*\.(?i:com|org|net|gov|edu|info|biz|co\.uk|html?|pdf|doc|xls|jpg){_END}"
        r"(?:/\S*[\p{L}\p{N}/])?",
        r"<3|[:;=8]['o-]?[)(\]\[DPp/\\|]+(?!\w)|[xX:]D+(?!\w)|\^_*\^",  # smileys
        r"(?:\p{L}\.){2,}",  # U.S.
        rf"(?:{_ABBREVIATIONS})\.",
        r"(?:19|20|')?\d0s" + _END,  # 1990s
        rf"(?:\d-)?(?:\d{{3}}-)?\d{{3}}-\d{{4}}{_END}",  # telephones
        rf"\d+(?:[.,:/]\d+)*(?:st|nd|rd|th){_END}",
        r"\d+(?:[.,:/]\d+)*",
        rf"(?i:gon|wan)(?=(?i:na){_END})|(?i:got)(?=(?i:ta){_END})|(?i:can)(?=(?i:not){_END})",  # gon na
        rf"(?i:do|does|did|is|was|were|are|wo|ca|could|would|should|have|has|had)(?=(?i:nt){_END})|(?i:nt){_END}",
        rf"\p{{L}}+(?=(?i:n{_APOSTROPHE}t){_END})|(?i:n{_APOSTROPHE}t){_END}",  # do n't
        rf"{_APOSTROPHE}(?i:s|m|d|re|ve|ll){_END}",  # it 's
        rf"\p{{Lu}}{_APOSTROPHE}\p{{Lu}}[\p{{L}}]+",  # O'Brien
        rf"(?i:{_PREFIXES})-\p{{L}}+",  # e-mail
        r"\p{Lu}\.(?!\p{L})",  # initials
        r"[\p{L}\p{M}][\p{L}\p{M}\p{N}_]*",
        r"\.{2,}|-{2,}|[!?]{2,}|\*{2,}|={2,}|_{2,}|~{2,}|#{2,}|<{2,}|>{2,}|\${2,}|''|``",
        r"\S",
    )
)


def english_tokenizer(words: Iterable[str], min_count: int = 1) -> Tokenizer:
    """Build a tokenizer. Its vocabulary is [UNK] with id 0, then the frequent words, most frequent first.

    Args:
        words: Words of the training data.
        min_count: How often a word must occur to be in the vocabulary.
    """
    tokenizer = Tokenizer(models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex("[\u2018\u2019]"), "'"),
            normalizers.Replace(Regex("[\u201c\u201d]"), '"'),
            normalizers.Replace(Regex(r"\p{N}"), "0"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated")]
    )
    counts = Counter(map(tokenizer.normalizer.normalize_str, words))
    ranked = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
    vocabulary = {word: i for i, word in enumerate([UNKNOWN, *ranked])}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    return tokenizer


def word_spans(tokenizer: Tokenizer, text: str) -> list[tuple[int, int]]:
    """Split a text into words. Returns the start and end of each."""
    return [span for _, span in tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def word_ids(tokenizer: Tokenizer, words: Iterable[str]) -> list[int]:
    """Return the id of each word."""
    vocabulary = tokenizer.get_vocab()
    return [vocabulary.get(tokenizer.normalizer.normalize_str(word), 0) for word in words]
