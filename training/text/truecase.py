"""Truecasing: writes the first word of a sentence as it would be inside one, like Moses (Koehn et al. 2007).

German nouns keep their capitals, so that translations have them too. `as_sentence` capitalises the first letter of a
translation again.
"""

import re
from collections import Counter
from collections.abc import Iterable

_WORD = re.compile(r"\w+")
_ENDS_SENTENCE = re.compile(r"[.!?:\"“„]\s*$")


class Truecaser:
    """Truecases sentences by the most frequent case of each word.

    Args:
        sentences: Sentences to count cases in.
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
        """Write the first word of a sentence in its usual case. Words never seen inside a sentence are kept."""
        first = _WORD.search(sentence)
        if first is None:
            return sentence
        usual = self._usual.get(first[0].lower(), first[0])
        return sentence[: first.start()] + usual + sentence[first.end() :]


def as_sentence(text: str) -> str:
    """Capitalise the first letter of a text."""
    return text[:1].upper() + text[1:]
