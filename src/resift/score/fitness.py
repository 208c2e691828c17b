"""Notices texts that a model was not made for, by what its tokenizer makes of them and by their language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from resift.score.contract import Contract
from resift.score.tokens import Tokens
from resift.text.clean import clean
from resift.text.language import guess

_TEXTS, _CHARACTERS = 20, 400  # the sample that is looked at

# Over 100 passages and queries of each of 19 collections, resift-mini-en's tokenizer gave 0.18-0.25 tokens per
# character of English, 0.32-0.34 of German, Spanish and Romanian, 0.37-0.41 of Turkish and Vietnamese, over 0.57 of
# other scripts; unknown tokens only in Arabic, Hindi, Thai, Chinese and Japanese (2-70 %).
_FOREIGN_RATE, _SENSELESS_RATE, _UNKNOWN = 0.28, 0.5, 0.05


def misfit(contract: Contract, tokens: Tokens, query: str, passages: Sequence[str]) -> str:
    """Why a model should not judge these texts, in one sentence; empty when it should, or lists no languages.

    A text is foreign when its guessed language is none of the model's and it takes more than 0.28 tokens per character;
    more than 0.5, or more than 5 % unknown tokens, need no guess. ASCII guessed to be in one of its languages is not
    looked at any further. The passages are judged by their majority.
    """
    if not contract.languages:
        return ""
    judged = [_foreign(contract, tokens, clean(p[:_CHARACTERS])) for p in passages[:_TEXTS]]
    commonest = Counter(judged).most_common(1)
    about = _foreign(contract, tokens, clean(query[:_CHARACTERS])) or (commonest[0][0] if commonest else "")
    if not about:
        return ""
    return f"{contract.name} reads {', '.join(contract.languages)}; these texts are {about}: name another model"


def _foreign(contract: Contract, tokens: Tokens, text: str) -> str:
    """What the text is instead of one for the model; empty when it is one."""
    if not text.strip():
        return ""
    language = guess(text)
    if language in contract.languages and text.isascii():
        return ""  # most texts: no need to look at their tokens
    (ids,) = tokens.ids([text])
    rate, unknown = len(ids) / len(text), ids.count(tokens.unknown) / max(1, len(ids))
    named = language in contract.languages
    senseless = rate > _SENSELESS_RATE and not named and (language or len(text) >= _CHARACTERS // 10)  # not "E4021"
    if unknown > _UNKNOWN or senseless:
        return language or "in no language that it knows"
    return language if rate > _FOREIGN_RATE and language and not named else ""
