"""Scores of translations: tokenized lower-cased BLEU, as in papers on Multi30k, sacreBLEU and chrF.

bleu        Moses' punctuation normalisation and tokenizer, lower case; as in LIUM-CVC (Caglayan et al. 2017)
sacrebleu   on plain, cased texts; signature nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp (Post 2018)
chrf        chrF2 on plain, cased texts (Popović 2015)
"""

from collections.abc import Sequence

import sacrebleu
from sacremoses import MosesPunctNormalizer, MosesTokenizer  # type: ignore[import-untyped]

from training.data.multi30k import Language


def figures(translations: Sequence[str], references: Sequence[str], language: Language) -> dict[str, float]:
    """Return all three scores by name, each from 0 to 100.

    Args:
        translations: Plain texts.
        references: One reference per translation.
        language: The target language.
    """
    return {
        "bleu": tokenized_bleu(translations, references, language),
        "sacrebleu": sacrebleu.corpus_bleu(translations, [references]).score,
        "chrf": sacrebleu.corpus_chrf(translations, [references]).score,
    }


def tokenized_bleu(translations: Sequence[str], references: Sequence[str], language: Language) -> float:
    """Return the BLEU of lower-cased Moses tokens."""
    normalizer, tokenizer = MosesPunctNormalizer(language), MosesTokenizer(language)

    def tokenize(text: str) -> str:
        tokens: str = tokenizer.tokenize(normalizer.normalize(text).lower(), escape=False, return_str=True)
        return tokens

    found, expected = list(map(tokenize, translations)), list(map(tokenize, references))
    return float(sacrebleu.corpus_bleu(found, [expected], tokenize="none", force=True).score)
