"""Notices texts that a model was not made for, by their language and by how its tokenizer cuts them up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from resift.models.contract import Contract
from resift.models.registry import reader_of
from resift.models.tokenizer import Tokens
from resift.protocols import Role
from resift.text.clean import clean
from resift.text.language import accented, guess, marks, script_of

_TEXTS, HEAD = 20, 400  # the sample: this many passages, and this many characters of each text
OTHER = "in another language"  # where it can't be told which
SIGNS = "in signs that its vocabulary lacks"  # such as emoji: they all look alike to a model

# Over 100 passages and queries of each of 19 collections, resift-mini-en's tokenizer gave 0.18-0.25 tokens per
# character of English, 0.32-0.34 of German, Spanish and Romanian, 0.37-0.41 of Turkish and Vietnamese, over 0.57 of
# other scripts; unknown tokens only in Arabic, Hindi, Thai, Chinese and Japanese (2-70 %).
_FOREIGN_RATE, _SENSELESS_RATE, _UNKNOWN = 0.28, 0.5, 0.05
_BLIND = 0.5  # share of unknown tokens from which on a text with full-width letters, of any length, is not read
_FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_MARKS = 2  # function words and letters that must speak for a Latin language: one alone may be a name or a variable
_PLAIN = {"en", "id", "nl"}  # languages whose words are written in ASCII, names and loans aside


class Reader(Protocol):
    """A tokenizer, as far as it tells whether a model can read a text."""

    @property
    def unknown(self) -> int:
        """The id of the unknown token; -1 where there is none."""

    def ids(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return each text's token ids, without special tokens."""


class OfLanguages:
    """What a scorer of a model folder can tell of the languages that it reads; see `KnowsLanguages`."""

    contract: Contract
    tokens: Tokens

    def foreign(self, texts: Sequence[str], role: Role) -> list[str]:
        """The language of each text that the model does not read, see `foreign`; empty where it reads it."""
        return [foreign(self.contract.languages, self.tokens, text, role) for text in texts]

    def misfit(self, query: str, passages: Sequence[str]) -> str:
        """Why the model should not judge these texts, see `misfit`; empty when it should."""
        return misfit(self.contract, self.tokens, query, passages)


def misfit(contract: Contract, tokens: Reader, query: str, passages: Sequence[str]) -> str:
    """Why a model should not judge these texts, with a remedy, in one sentence.

    Empty when it should, or lists no languages. The passages are judged by their majority; see `foreign`.
    """
    if not contract.languages:
        return ""
    commonest = Counter(foreign(contract.languages, tokens, p, "document") for p in passages[:_TEXTS]).most_common(1)
    of_query, of_texts = foreign(contract.languages, tokens, query, "query"), commonest[0][0] if commonest else ""
    if not (of_query or of_texts):
        return ""
    if of_query == of_texts:
        cause = f"the query and the texts are {of_query}"
    else:
        sides = (("query is", of_query), ("texts are", of_texts))
        cause = " and ".join(f"the {side} {language}" for side, language in sides if language)
    both = of_query and of_texts
    readable = () if both else contract.languages  # another model must read the side that this one reads, too
    languages = {
        *readable,
        *("" if language in (OTHER, SIGNS) else language for language in (of_query, of_texts) if language),
    }
    remedy = reader_of(sorted(languages))
    return (
        f"{contract.name} reads {', '.join(contract.languages)}; {cause}: name another model, such as --model {remedy}"
    )


def foreign(languages: Sequence[str], tokens: Reader, text: str, role: Role) -> str:
    """The language of a text, or OTHER or SIGNS, where it is none of these; empty where it is one, or too little tells.

    Another script than Latin tells, and so do more than 5 % unknown tokens, or more than 0.5 tokens per character of 40
    characters or more. In Latin script two different marks of a language must be there (see `text.language.marks`), and
    none of the languages at hand, or more than 0.28 tokens per character; as many and a word with an accent tell too.

    A text of any length with full-width letters is not read where more than half of its tokens are unknown, and a query
    where all are, as emoji may be: texts of unknown tokens would all match it.

    Of 18,433 English queries of twelve collections this took 8 for another language (0.04 %; of 4,000 about films 3),
    of 16,448 runs of three words out of them 14 (0.09 %). It noticed 93 % of 1,181 German queries and 49 % of runs of
    three words out of them; in Vietnamese 99.8 % and 98 %.
    """
    text = clean(text[:HEAD])
    if not languages or not text.strip():
        return ""
    language = guess(text)
    wide = not text.isascii() and _FULL_WIDTH.search(text) is not None
    if language in languages and not wide:
        return ""
    if language not in ("", *languages) and script_of(language) != "latin":
        return language
    (ids,) = tokens.ids([text])
    rate, unknown = len(ids) / len(text), ids.count(tokens.unknown) / max(1, len(ids))
    if wide and unknown > _BLIND:
        return OTHER
    if unknown == 1 and role == "query":
        return SIGNS
    if language in languages:
        return ""
    spoken = marks(text)
    sure = language if spoken.get(language, 0) >= _MARKS else ""
    long = len(text) >= HEAD // 10  # not "E4021"
    if long and (unknown > _UNKNOWN or rate > _SENSELESS_RATE):
        return sure or OTHER
    if sure and (rate > _FOREIGN_RATE or not any(spoken.get(x) for x in languages)):
        return sure
    if rate > _FOREIGN_RATE and accented(text) and _PLAIN.issuperset(languages):
        return language or OTHER
    return ""
