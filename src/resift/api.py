"""What `import resift` gives: it puts retrievers, scorers and stages together."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from resift import arguments, files
from resift.errors import InputError
from resift.files.records import DocumentLike
from resift.pipeline import DEFAULT_DEPTH, PipelineLike, boosts, read_pipeline, retrieval_of, without_models
from resift.protocols import Calibrator, Retriever, Scorer
from resift.rerank.drive import drive
from resift.reranker import DefaultReranker, LazyReranker, LearnedReranker, Reranker, budget
from resift.score.defaults import EMBEDDERS, RERANKERS, DefaultModels, bundled, preferred
from resift.types import Document, Query, Ranking

if TYPE_CHECKING:  # these import NumPy and the tokenizers; `import resift` stays light
    from resift.calibrate.calibration import Calibration
    from resift.index.build import IndexReport
    from resift.index.tensors import Tensors
    from resift.models.inputs import Truncation
    from resift.score.cache import PairCache
    from resift.score.options import EngineOption, LongDocuments, Precision

DEFAULT_MODEL = RERANKERS[0]  # of those who name one

_CACHED = 4  # models that callers gave by name, and that stay loaded
_loading = Lock()


class Index:
    """Passages that can be searched: BM25 and vectors, fused, then a reranker on the best.

    Made in memory with `Index.of`, on disk with `Index.build` and `Index.open`; the results are the same.
    """

    def __init__(self, documents: Sequence[Document], retriever: Retriever, tensors: Tensors | None = None) -> None:
        self.documents, self.retriever, self.tensors = documents, retriever, tensors

    @classmethod
    def of(
        cls,
        documents: Iterable[DocumentLike],
        embedder: str | Literal[False] | None = None,
        pipeline: PipelineLike | None = None,
    ) -> Index:
        """Index documents in memory.

        Args:
            documents: as in `Reranker.rerank`.
            embedder: of the vectors; None for a bundled one by the documents' languages; False leaves vectors out.
            pipeline: whose BM25 and embedder the index is to have; one without dense leaves vectors out.

        Raises:
            InputError: one document instead of a list of them, or one as `Reranker.rerank` refuses it, or an embedder
                beside another one of the pipeline.
            ModelError: the embedder can't be used.

        """
        from resift.index.first_stage import first_stage
        from resift.index.passages import unique_ids
        from resift.retrieve.bm25 import BM25Retriever
        from resift.score.load import load_embedder
        from resift.score.pairs import whole_text
        from resift.text.analysis import sample

        named = embedder if embedder is None or embedder is False else arguments.path(embedder, "embedder")
        retrieval = retrieval_of(pipeline, named or None)
        passages = list(unique_ids(files.documents(documents), set()))
        lexical = BM25Retriever(passages, k1=retrieval.k1, b=retrieval.b)
        if named is False or (retrieval.names and "dense" not in retrieval.names):
            return cls(passages, lexical)
        model = (
            named
            or retrieval.embedder
            or preferred(EMBEDDERS, lambda: [whole_text(passages[i]) for i in sample(len(passages))])
        )
        return cls(passages, first_stage(lexical, load_embedder(model)))

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Index:
        """Open an index on disk, memory-mapped; it stays as it was opened while another process writes a newer one.

        Raises:
            InputError: not an index, damaged, or made by a newer Resift.

        """
        from resift.index.open import open_index

        documents, retriever, tensors = open_index(Path(arguments.path(folder, "folder")))
        return cls(documents, retriever, tensors)

    @staticmethod
    def build(
        folder: str | os.PathLike[str],
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        tensors: bool | None = None,
        model: str | None = None,
        embedder: str | None = None,
        pool: int | None = None,
        hnsw: bool | None = None,
        replace: bool = False,
        pipeline: PipelineLike | None = None,
        on_skip: Callable[[files.Skipped], None] = lambda s: None,
        on_progress: Callable[[str, int, float], None] = lambda step, count, share: None,
    ) -> IndexReport:
        """Index files and folders on disk, or bring the index in `folder` up to date; all of it or nothing.

        An index keeps its settings: an argument of None leaves the setting as it was. Where you give another value, all
        files of the index are read and encoded anew. Files of other paths stay in it, unless `replace` is True.

        Args:
            folder: of the index; made when missing.
            paths: of the files and folders to index.
            tensors: store the token vectors of `model`; a new index does not by default.
            model: the late-interaction model of the token vectors, with `tensors`; in a new index resift-mini-en, or
                resift-mini-multi where more than 5 % of a sample of the passages are in other languages that it reads.
            embedder: of the passages' vectors; in a new index `model` itself with `tensors`, where it gives vectors of
                whole texts, else a bundled one by the same rule.
            pool: 2 or 3 stores one vector for so many neighbouring tokens; 1 in a new index.
            hnsw: find vectors by a graph (extra `qdrant`) instead of comparing each; a graph misses one in a hundred or
                more. By default as the index has it, in a new one above 50,000 passages where the extra is installed.
            replace: remove files of other paths from the index.
            pipeline: whose BM25 (k1 and b) and embedder the index is to have.
            on_skip: is called with each file that is left out.
            on_progress: is called with the name of the present step, how many items it has done, and about which share
                of the step that is (0..1; 0 where it can't be known).

        Raises:
            InputError: see `resift.index.build.build`.
            ModelError: the model or embedder can't be used.
            MissingExtra: a graph is asked for, and its engine is not installed.

        """
        from resift.engine.once import Once
        from resift.index.build import build
        from resift.index.encode import encoder_for
        from resift.index.layout import settings_of
        from resift.index.options import IndexOptions, settings_for
        from resift.index.sample import sample_of

        sources = arguments.paths(paths, "paths")
        retrieval = retrieval_of(pipeline, embedder)
        options = IndexOptions(
            tensors, model, embedder or retrieval.embedder or None, pool, hnsw, retrieval.k1, retrieval.b
        )
        target = Path(arguments.path(folder, "folder"))
        defaults = DefaultModels(Once(lambda: sample_of(sources)))
        encoder = encoder_for(settings_for(options, settings_of(target), defaults), defaults)
        return build(
            target, sources, encoder, on_skip, on_progress, keep_others=not replace, encode_anew=options.encode_anew
        )

    def search(
        self,
        query: str | Query,
        top_k: int | None = 10,
        depth: int = DEFAULT_DEPTH,
        reranker: Reranker | str | os.PathLike[str] | bool = True,
        blend: bool | float = True,
        deadline_ms: float | None = None,
        max_memory: int | str | None = None,
        min_relevance: float | str | None = None,
        when: str | os.PathLike[str] | None = None,
        boost: str = "",
    ) -> Ranking:
        """Retrieve max(depth, top_k) candidates, rerank the first `depth`, return the first `top_k`.

        Args:
            query: what to look for; not empty.
            top_k: how many to return; all that were retrieved when None.
            depth: how many to rerank.
            reranker: a loaded model, or the name of one, which the process then loads once and keeps; True for the
                bundled model that reads the language at hand (`DefaultReranker`); False: no reranking.
            blend: see `Reranker.stage`.
            deadline_ms: milliseconds from the call, without the time of loading. Retrieval is never cut short, and the
                reranker has the rest of the time; see `Reranker.rerank`.
            max_memory: as in `Reranker.rerank`.
            min_relevance: as in `Reranker.rerank`; a model that is named is then loaded with its calibration.
            when: the file of a rule that `resift when` learned: queries that it skips keep the first stage's order.
            boost: as in `Reranker.rerank`; without a reranker, too.

        Stored token vectors are used when `reranker` is the model that made them, and has no calibration; with True, a
        bundled model that made them is taken for all that it reads.

        Raises:
            InputError: an empty query, a reranker that is none, a top_k or limit as `budget` refuses it, a boost that
                is none, or a min_relevance without a reranker or calibration.
            ModelError: the reranker that was named can't be used.

        """
        checked_query, count = arguments.query(query), arguments.whole(top_k, "top_k")
        model, limits = _reranker(reranker, min_relevance is not None), budget(deadline_ms, max_memory)
        to_score = arguments.whole(depth, "depth") or DEFAULT_DEPTH
        if model is None:
            if when is not None:
                raise InputError("a rule of when to rerank needs a reranker; leave when out, or name a model")
            if min_relevance is not None:
                raise InputError("a threshold of relevance needs a reranker; leave min_relevance out, or name a model")
            boosting = without_models(boosts(boost))
            return drive(boosting, self.retriever.retrieve([checked_query], max(to_score, count or 0)))[0].top(count)
        rule = "" if when is None else arguments.path(when, "when")
        stage = model.stage(blend, self.store_for(model), to_score, min_relevance, rule, boost)
        ranking = self.retriever.retrieve([checked_query], max(to_score, count or 0))[0]
        return drive(stage, [ranking], limits)[0].top(count)

    def run(
        self,
        pipeline: PipelineLike,
        query: str | Query,
        deadline_ms: float | None = None,
        max_memory: int | str | None = None,
    ) -> Ranking:
        """Search by a pipeline, such as "bm25 + dense >> resift-mini-en@50 >> blend >> top 10" (see `Pipeline`).

        It may also be a file of one, or the folder that `resift tune` made (see `read_pipeline`). The process loads its
        models once and keeps them. A pipeline without retrievers fuses all that the index has.
        One with a threshold of relevance loads its models with their calibrations.

        Raises:
            InputError: text that is no pipeline, a retriever that the index lacks, other parameters of BM25 than it was
                made with, an empty query, a wrong limit, or a threshold for a model that has no calibration.
            NotCalibrated: the calibration is for another version, precision or setting of the model.
            ModelError: a model can't be used.

        """
        plan = read_pipeline(pipeline)
        checked_query, limits = arguments.query(query), budget(deadline_ms, max_memory)
        ranking = plan.retrieval.limit(self.retriever).retrieve([checked_query], plan.depth)[0]
        last = plan.models[-1] if any(part.name == "relevant" for part in plan.stages) else ""

        def scorer_of(name: str) -> Scorer:
            """The scorer of a model, with this index's token vectors where they are its own."""
            reranker = _named(name, name == last)
            return reranker.with_store(self.store_for(reranker))

        def calibration_of(name: str) -> Calibrator:
            return _named(name, True).calibrator

        return drive(plan.stage(scorer_of, calibration_of=calibration_of), [ranking], limits)[0].top(plan.top_k)

    def store_for(self, reranker: Reranker) -> Tensors | None:
        """The stored token vectors, if this model would compute the same; one that truncates documents would not."""
        same_model = self.tensors is not None and self.tensors.fingerprint in reranker.fingerprints
        return self.tensors if same_model and reranker.info.long_documents == "windows" else None


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


def search(
    query: str,
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    top_k: int | None = 10,
    depth: int = DEFAULT_DEPTH,
    model: str | os.PathLike[str] | bool = True,
    min_relevance: float | str | None = None,
    pipeline: PipelineLike | None = None,
) -> Ranking:
    """Search files and folders: passages, BM25 and vectors, reranking, blend; `model=False` leaves the last two out.

    `min_relevance` is that of `Index.search`. A `pipeline` as in `Index.run` takes the place of depth, model and
    min_relevance, which are not looked at then; without "top" it gives `top_k`.

    A model that you name also reranks texts in a language that it does not read; see `Reranker`. Each file of a folder
    that can't be read is left out with a warning; files of other types are left out as they are in `Index.build`.

    Raises:
        InputError: an empty query, a path that is missing, unreadable or of no known format, or a min_relevance as
            `Index.search` refuses it.
        ModelError: the model can't be used.

    """
    checked_query, sources = arguments.query(query), arguments.paths(paths, "paths")
    if pipeline is not None:
        plan = read_pipeline(pipeline)
        index = Index.of(files.read_paths(sources, _warn), pipeline=plan)
        return index.run(plan, checked_query).top(plan.top_k or arguments.whole(top_k, "top_k"))
    reranker = _reranker(model, min_relevance is not None) or False
    index = Index.of(files.read_paths(sources, _warn))
    return index.search(checked_query, top_k, depth, reranker, min_relevance=min_relevance)


def _warn(skipped: files.Skipped) -> None:
    if skipped.kind not in files.NEVER_READ:
        warnings.warn(f"{skipped.path} was left out: {skipped.reason}", stacklevel=2)


def _reranker(which: Any, calibrated: bool = False) -> Reranker | None:  # noqa: ANN401 - whatever a caller passes
    """The model itself where it is loaded, the model of a name, the default model for True, None for False."""
    if which is False:
        return None
    if isinstance(which, Reranker):
        return which
    if which is not True and not isinstance(which, (str, os.PathLike)):
        kind = which if which is None else f"of type {type(which).__name__}"
        raise InputError(f"a reranker is a loaded model, the name of one, or False for none; not {kind}")
    return _named(None if which is True else arguments.path(which, "reranker"), calibrated)


def _named(name: str | None, calibrated: bool) -> Reranker:
    """The model of a name, which the process loads once."""
    with _loading:
        return _loaded(name, calibrated)


@lru_cache(maxsize=_CACHED)
def _loaded(name: str | None, calibrated: bool) -> Reranker:
    return load(name, calibrated=calibrated)
