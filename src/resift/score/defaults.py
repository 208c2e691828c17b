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

DEFAULT_STAGES = f"{RERANKERS[0]}@100 >> blend"  # behind a first stage, where commands that measure are told no model
DEFAULT_SEARCH = f"bm25 + dense >> {DEFAULT_STAGES}"

_TOLERATED = 0.05  # share of a collection's texts that the preferred model may be unable to read
_MARKS = 2  # function words and letters that must speak for a language of Latin script


class DefaultModels:
    """The models of a new index for which none is named; `sample` gives texts of it where there is a choice."""

    def __init__(self, sample: Callable[[], Sequence[str]]) -> None:
        self._sample = sample

    @cached_property
    def late_interaction(self) -> str:
        """The name of the model of token vectors."""
        return preferred(RERANKERS, self._sample)

    @cached_property
    def embedder(self) -> str:
        """The name of the model of the passages' vectors."""
        return preferred(EMBEDDERS, self._sample)


def bundled(names: Sequence[str]) -> list[Contract]:
    """The contracts of those of these models that ship with the package, in order."""
    from resift.score.load import bundled_models

    by_name = {contract.name: contract for contract in bundled_models()}
    return [by_name[name] for name in names if name in by_name]


def preferred(names: Sequence[str], sample: Callable[[], Sequence[str]]) -> str:
    """The first model that reads a collection: not more than 5 % of it is in languages that only a later model reads.

    A text counts where its script tells its language, or two different function words or letters do (`text.language`).

    Args:
        names: of bundled models, the one that is preferred first; those that are missing are passed over.
        sample: gives texts of the collection.

    """
    from resift.text.language import guess, marks, script_of

    contracts = bundled(names)
    if len(contracts) < 2:
        return contracts[0].name if contracts else names[0]
    tongues = []
    texts = sample()
    for text in texts:
        tongue = guess(text)
        sure = tongue and (script_of(tongue) != "latin" or marks(text).get(tongue, 0) >= _MARKS)
        tongues.append(tongue if sure else "")
    for i, contract in enumerate(contracts):
        others = {language for later in contracts[i + 1 :] for language in later.languages} - {*contract.languages}
        if sum(tongue in others for tongue in tongues) <= _TOLERATED * len(texts):
            return contract.name
    return contracts[-1].name
