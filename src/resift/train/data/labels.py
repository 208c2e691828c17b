"""Labels as numbers: of numbers, of truth values, and of words for relevance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from resift.errors import InputError
from resift.train.examples import LabelKind

_WORDS: Mapping[str, float] = {
    **dict.fromkeys(("yes", "true", "relevant", "positive"), 1.0),
    **dict.fromkeys(("no", "false", "irrelevant", "not relevant", "non-relevant", "nonrelevant", "negative"), 0.0),
}


class LabelReader:
    """Reads labels, and counts those that are words.

    Args:
        words: the number of each label that is a word, in any letters; they come before the words that are known.

    """

    def __init__(self, words: Mapping[str, float]) -> None:
        self._words = {word.strip().lower(): number for word, number in words.items()}
        self.texts: Counter[str] = Counter()

    def read(self, value: object, where: str) -> float | None:
        """A label as a number; None where there is none (empty, null, NaN).

        Raises:
            InputError: a word without a number, or neither a number nor a word.

        """
        if isinstance(value, str):
            return self._word(value.strip(), where)
        return number_of(value, "label", where)

    def _word(self, text: str, where: str) -> float | None:
        if not text:
            return None
        word = text.lower()
        if word in self._words:
            self.texts[word] += 1
            return self._words[word]
        try:
            return number_of(float(text), "label", where)
        except ValueError:
            pass
        if word not in _WORDS:
            raise InputError(
                f"{where}: the label {text!r} is a word without a number; say what it is worth, such as "
                f"--labels {word}=1,OTHER=0"
            )
        self.texts[word] += 1
        return _WORDS[word]

    def described(self) -> str:
        """The words that were read, with their numbers."""
        numbers = {**_WORDS, **self._words}
        return ", ".join(f"{word!r} is {numbers[word]:g} ({count}x)" for word, count in sorted(self.texts.items()))


def number_of(value: object, what: str, where: str) -> float | None:
    """A finite number, a truth value as 1 or 0, or None for null and NaN; a text that is a number is read as one.

    Raises:
        InputError: anything else; `what` and `where` are in the message.

    """
    if value is None or value == "":
        return None
    try:
        number = float(value)  # type: ignore[arg-type] # what can't be converted raises
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: the {what} {str(value)[:50]!r} is no number; give a number or nothing") from error
    if math.isinf(number):
        raise InputError(f"{where}: the {what} is infinite; give a finite number or nothing")
    return None if math.isnan(number) else number


def kind_of(labels: Iterable[float]) -> LabelKind:
    """What these labels are; NONE where there are none."""
    values = set(labels)
    if not values:
        return LabelKind.NONE
    if values <= {0.0, 1.0}:
        return LabelKind.BINARY
    return LabelKind.GRADED if all(v.is_integer() and v >= 0 for v in values) else LabelKind.CONTINUOUS


def parse_labels(text: str) -> dict[str, float]:
    """Read "exact=3,substitute=2" into the number of each word.

    Raises:
        InputError: another form, or no number.

    """
    words: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        word, _, number = part.rpartition("=")
        try:
            words[word.strip()] = float(number)
        except ValueError:
            words[""] = 0.0
        if "" in words:
            raise InputError(f"labels are WORD=NUMBER,…, such as relevant=1,irrelevant=0; not {part!r}")
    return words
