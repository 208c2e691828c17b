"""What `import resift` gives: it puts retrievers, scorers and stages together."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from resift import arguments, files
from resift.errors import InputError
from resift.files.records import DocumentLike
from resift.loading import named, reranker_of
from resift.pipeline import DEFAULT_DEPTH, PipelineLike, boosts, read_pipeline, retrieval_of, without_models
from resift.protocols import Calibrator, Retriever, Scorer
from resift.rerank.drive import drive
from resift.reranker import Reranker, budget
from resift.score.defaults import EMBEDDERS, DefaultModels, preferred
from resift.types import Document, Query, Ranking

if TYPE_CHECKING:  # these import NumPy and the tokenizers; `import resift` stays light
    from resift.index.build import IndexReport
    from resift.index.tensors import Tensors


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
        named_embedder = (retrieval.embedder or None) if embedder is None else embedder
        options = IndexOptions(tensors, model, named_embedder, pool, hnsw, retrieval.k1, retrieval.b)
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
        model, limits = reranker_of(reranker, min_relevance is not None), budget(deadline_ms, max_memory)
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
            reranker = named(name, name == last)
            return reranker.with_store(self.store_for(reranker))

        def calibration_of(name: str) -> Calibrator:
            return named(name, True).calibrator

        return drive(plan.stage(scorer_of, calibration_of=calibration_of), [ranking], limits)[0].top(plan.top_k)

    def store_for(self, reranker: Reranker) -> Tensors | None:
        """The stored token vectors, if this model would compute the same; one that truncates documents would not."""
        same_model = self.tensors is not None and self.tensors.fingerprint in reranker.fingerprints
        return self.tensors if same_model and reranker.info.long_documents == "windows" else None


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
    reranker = reranker_of(model, min_relevance is not None) or False
    index = Index.of(files.read_paths(sources, _warn))
    return index.search(checked_query, top_k, depth, reranker, min_relevance=min_relevance)


def _warn(skipped: files.Skipped) -> None:
    if skipped.kind not in files.NEVER_READ:
        warnings.warn(f"{skipped.path} was left out: {skipped.reason}", stacklevel=2)
