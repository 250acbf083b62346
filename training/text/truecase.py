"""Case that means something: the first word of a sentence is written as it would be inside of one.

German nouns keep their capitals, so that a translation has them too; whoever prints a sentence gives its first letter a
capital again (`as_sentence`). The way of Moses' truecaser (Koehn et al. 2007), learnt from the training sentences.
"""

import re
from collections import Counter
from collections.abc import Iterable

_WORD = re.compile(r"\w+")
_ENDS_SENTENCE = re.compile(r"[.!?:\"“„]\s*$")


class Truecaser:
    """Knows the usual case of words.

    Args:
        sentences: What to learn it from.
    """

    def __init__(self, sentences: Iterable[str]) -> None:
        seen: dict[str, Counter[str]] = {}
        for sentence in sentences:
            for word in _WORD.finditer(sentence):
                before = sentence[: word.start()]
                if before.strip() and not _ENDS_SENTENCE.search(before):
                    seen.setdefault(word[0].lower(), Counter())[word[0]] += 1
        self._usual = {word: max(forms, key=lambda form: (forms[form], form)) for word, forms in seen.items()}

    def __call__(self, sentence: str) -> str:
        """The sentence with its first word as it is usually written; a word never seen inside of one stays."""
        first = _WORD.search(sentence)
        if first is None:
            return sentence
        usual = self._usual.get(first[0].lower(), first[0])
        return sentence[: first.start()] + usual + sentence[first.end() :]


def as_sentence(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]
