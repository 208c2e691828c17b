"""Loads rerankers by their names: one model, or the default ones, of which the language decides."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from resift import arguments
from resift.errors import InputError
from resift.protocols import Scorer
from resift.reranker import DefaultReranker, LazyReranker, LearnedReranker, Reranker
from resift.score.defaults import RERANKERS, bundled

if TYPE_CHECKING:  # these import NumPy and the tokenizers; `import resift` stays light
    from resift.calibrate.calibration import Calibration
    from resift.models.inputs import Truncation
    from resift.score.cache import PairCache
    from resift.score.options import EngineOption, LongDocuments, Precision

DEFAULT_MODEL = RERANKERS[0]  # of those who name one

_CACHED = 4  # models that callers gave by name, and that stay loaded
_loading = Lock()


def load(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    precision: Precision = "auto",
    long_documents: LongDocuments = "windows",
    truncation: Truncation | None = None,
    max_tokens: int | None = None,
    engine: EngineOption = "auto",
    cache: PairCache | None = None,
    calibrated: bool | str | os.PathLike[str] = False,
) -> Reranker:
    """Load a reranker: a bundled name, a folder or a hub id; see `resift.score.load.load_scorer`.

    Args:
        name_or_path: of the model; None for the bundled one that reads the language at hand, of each ranking anew:
            resift-mini-en for English, resift-mini-multi for other languages (`DefaultReranker`).
        precision: "f32"; "bf16" and "int8" where the CPU has them; "fp16" with torch; "auto" for the fastest that is
            known to keep the order, which may be int8.
        long_documents: they are read in "windows" or "strides", or "truncate" reads only their beginning.
        truncation: another rule than the contract's, with long_documents="truncate".
        max_tokens: a shorter window than the contract's.
        engine: "native", "openvino", "onnx" or "torch"; "auto" chooses by model, hardware and what is installed.
        cache: stores scores, so that equal pairs are scored once; models may share one.
        calibrated: True for the calibration that `resift calibrate` made, or the folder or file where it put it: scores
            are then probabilities of relevance. Two pairs are scored to see that the model is still the same. Without
            a name that is resift-mini-en alone, since a calibration is of one model.

    Raises:
        InputError: an empty name, a precision, engine or rule that is unknown, or that this model, engine or CPU does
            not have, or a calibration that is not there.
        NotCalibrated: the calibration is for another version, precision or setting of the model.
        ModelError: it is no model, no reranker, or damaged; the message says which, and what to do.
        MissingExtra: the engine is not installed.

    """
    from resift.score.cache import PairCache
    from resift.score.load import load_scorer

    arguments.whole(max_tokens, "max_tokens")
    if cache is not None and not isinstance(cache, PairCache):
        raise InputError(f"cache is a PairCache; not of type {type(cache).__name__}")

    def loaded(name: str, named: bool) -> Reranker:
        scorer = load_scorer(name, precision, long_documents, truncation, max_tokens, engine)
        if scorer.info.family == "learned":
            return _learned(name, scorer, calibrated, cache)
        calibration = None if calibrated is False else _calibration(name, scorer, calibrated)
        return Reranker(scorer, cache, named, calibration)

    if name_or_path is not None:
        return loaded(arguments.path(name_or_path, "the model's name"), True)

    names = [contract.name for contract in bundled(RERANKERS)]
    return _by_language(names, loaded) if len(names) > 1 and calibrated is False else loaded(names[0], False)


def _learned(name: str, scorer: Scorer, calibrated: Any, cache: PairCache | None) -> Reranker:  # noqa: ANN401
    """A model of learning to rank, which has no calibration, and whose scores depend on more than a pair."""
    from resift.score.load import find_model

    if calibrated is not False or cache is not None:
        what = "calibration" if calibrated is not False else "cache of pairs"
        raise InputError(f"{name} is a learned stage: it orders the candidates of one query, and has no {what}")
    return LearnedReranker(scorer, str(find_model(name)))


def _by_language(names: Sequence[str], loaded: Callable[[str, bool], Reranker]) -> Reranker:
    """The default reranker over models, of which `loaded` gives each one (its name; whether the caller named it)."""
    from resift.engine.once import Once

    def loaded_late(name: str) -> Reranker:
        reranker = loaded(name, False)
        if name != names[0]:  # a ranking needs it now, and a deadline does not run yet: its weights are read, too
            reranker.warm()
        return reranker

    return DefaultReranker(
        [LazyReranker(name, Once(partial(loaded_late, name)), Once(partial(_fingerprint, name))) for name in names]
    )


def _fingerprint(name: str) -> str:
    from resift.score.load import find_model, fingerprint

    return fingerprint(find_model(name))


def _calibration(name: str, scorer: Scorer, where: Any) -> Calibration:  # noqa: ANN401 - whatever a caller passes
    """The calibration of a loaded model, which still gives its canaries their scores."""
    from resift.calibrate import store

    places = store.places_of(name) if where is True else [Path(os.path.expanduser(arguments.path(where, "calibrated")))]
    calibration = store.find(scorer.info, places)
    calibration.check_canaries(scorer)
    return calibration


def reranker_of(which: Any, calibrated: bool = False) -> Reranker | None:  # noqa: ANN401 - whatever a caller passes
    """The model itself where it is loaded, the model of a name, the default model for True, None for False."""
    if which is False:
        return None
    if isinstance(which, Reranker):
        return which
    if which is not True and not isinstance(which, (str, os.PathLike)):
        kind = which if which is None else f"of type {type(which).__name__}"
        raise InputError(f"a reranker is a loaded model, the name of one, or False for none; not {kind}")
    return named(None if which is True else arguments.path(which, "reranker"), calibrated)


def named(name: str | None, calibrated: bool) -> Reranker:
    """The model of a name, which the process loads once."""
    with _loading:
        return _loaded(name, calibrated)


@lru_cache(maxsize=_CACHED)
def _loaded(name: str | None, calibrated: bool) -> Reranker:
    return load(name, calibrated=calibrated)
