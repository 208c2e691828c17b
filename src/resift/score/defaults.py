"""The models that are taken where none is named: by the languages that the contracts of the bundled models list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resift.models.contract import Contract

# In the order in which they are preferred: the fast ones of one language first.
RERANKERS = ("resift-mini-en", "resift-mini-multi")
EMBEDDERS = ("resift-static-en", "resift-static-multi")

_TOLERATED = 0.05  # share of a collection's texts that the preferred model may be unable to read
_MARKS = 2  # function words and letters that must speak for a language of Latin script


class DefaultModels:
    """The models of an index, or of data to measure on, for which none is named; see `preferred` for the samples.

    Attributes:
        taken: the names of those that were asked for so far.

    """

    def __init__(self, *samples: Callable[[], Sequence[str]]) -> None:
        self._samples = samples
        self.taken: list[str] = []

    @cached_property
    def late_interaction(self) -> str:
        """The name of the model that reranks, or makes token vectors."""
        return self._take(RERANKERS)

    @cached_property
    def embedder(self) -> str:
        """The name of the model of the passages' vectors."""
        return self._take(EMBEDDERS)

    @property
    def stages(self) -> str:
        """What commands that measure run behind a first stage by default: a search's stages, with one model for all."""
        return f"{self.late_interaction}@100 >> blend"

    def _take(self, names: Sequence[str]) -> str:
        name = preferred(names, *self._samples)
        self.taken.append(name)
        return name


def sentence(taken: Sequence[str]) -> str:
    """Says which models were taken, for people."""
    return f"no model was named, so the language of the texts chose: {', '.join(taken)}"


def bundled(names: Sequence[str]) -> list[Contract]:
    """The contracts of those of these models that ship with the package, in order."""
    from resift.score.load import bundled_models

    by_name = {contract.name: contract for contract in bundled_models()}
    return [by_name[name] for name in names if name in by_name]


def preferred(names: Sequence[str], *samples: Callable[[], Sequence[str]]) -> str:
    """The first model that reads all samples: not more than 5 % of each is in languages that only a later model reads.

    A text counts where its script tells its language, or two different function words or letters do (`text.language`).

    Args:
        names: of bundled models, the one that is preferred first; those that are missing are passed over.
        samples: give texts, such as those of a collection and those of its queries; none is read where there is no
            choice.

    """
    contracts = bundled(names)
    if len(contracts) < 2:
        return contracts[0].name if contracts else names[0]
    tongues = [[_language(text) for text in sample()] for sample in samples]
    for i, contract in enumerate(contracts):
        others = {language for later in contracts[i + 1 :] for language in later.languages} - {*contract.languages}
        if all(sum(tongue in others for tongue in part) <= _TOLERATED * len(part) for part in tongues):
            return contract.name
    return contracts[-1].name


def _language(text: str) -> str:
    """The code of a text's language; "" where it is not sure."""
    from resift.text.language import guess, marks, script_of

    code = guess(text)
    return code if code and (script_of(code) != "latin" or marks(text).get(code, 0) >= _MARKS) else ""
