"""What the retrievers of a pipeline say: which there are, BM25's parameters, the embedder, and how both are fused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resift.errors import InputError
from resift.pipeline.parts import RETRIEVERS, Part
from resift.protocols import ByVectors, HasContract, Retriever

if TYPE_CHECKING:  # these import NumPy; `import resift` stays light
    from resift.retrieve.fuse import ReciprocalRank


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The retrievers and their parameters; None where the pipeline leaves one to what runs it.

    Attributes:
        names: of the retrievers; none: the caller brings the candidates, or an index asks all that it has.
        k1, b: of BM25.
        embedder: the model of the vectors; empty where none is named.
        weight: of the vectors' ranks in the fusion, above 0 and below 1; BM25's have the rest.
        rank_constant: k of reciprocal ranks.

    """

    names: tuple[str, ...] = ()
    k1: float | None = None
    b: float | None = None
    embedder: str = ""
    weight: float | None = None
    rank_constant: float | None = None

    @classmethod
    def of(cls, retrievers: Sequence[Part]) -> Retrieval:
        """Read the parts of retrievers."""
        parts = {part.name: part for part in retrievers}

        def number(name: str, key: str) -> float | None:
            value = parts[name].value(key) if name in parts else None
            return None if value is None else float(value)

        model = parts["dense"].value("model") if "dense" in parts else None
        return cls(
            tuple(parts), number("bm25", "k1"), number("bm25", "b"), "" if model is None else str(model),
            number("dense", "weight"), number("dense", "rank_constant"),
        )  # fmt: skip

    @property
    def fuses(self) -> bool:
        """Whether the fusion has parameters of its own."""
        return self.weight is not None or self.rank_constant is not None

    def fusion(self, usual: float) -> ReciprocalRank:
        """How BM25 and vectors are fused where `usual` is the weight that the embedder's contract gives its vectors."""
        from resift.retrieve.fuse import fusion

        return fusion(usual if self.weight is None else self.weight, self.rank_constant)

    def limit(self, retriever: Retriever) -> Retriever:
        """The retriever of an index as this asks for it: limited to what it names, and fused as it says.

        Raises:
            InputError: it names vectors that the index lacks, or other parameters of BM25 or another embedder than the
                index was made with.

        """
        from resift.retrieve.fuse import Hybrid

        hybrid = retriever if isinstance(retriever, Hybrid) else None
        self._check_lexical(retriever if hybrid is None else hybrid.retrievers[0])
        if hybrid is None:
            if "dense" in self.names:
                raise InputError(
                    "this index has no vectors; leave dense out of the pipeline, or index with an embedder"
                )
            return retriever
        dense = hybrid.retrievers[1]
        self._check_embedder(dense)
        if self.fuses:
            embedder = dense.embedder if isinstance(dense, ByVectors) else None
            usual = embedder.contract.fusion_weight if isinstance(embedder, HasContract) else 0.0
            hybrid = hybrid.fused_by(self.fusion(usual or 0.0))
        return hybrid.only([place for place, name in enumerate(RETRIEVERS) if name in (self.names or RETRIEVERS)])

    def _check_lexical(self, lexical: Retriever) -> None:
        if self.k1 is None and self.b is None:
            return
        from resift.retrieve.bm25 import BM25Retriever

        if not isinstance(lexical, BM25Retriever):
            raise InputError("this index has no BM25 with k1 and b; leave them out of the pipeline")
        k1, b = lexical.k1 if self.k1 is None else self.k1, lexical.b if self.b is None else self.b
        if (k1, b) != (lexical.k1, lexical.b):
            raise InputError(
                f"this index has BM25 with k1={lexical.k1:g} and b={lexical.b:g}, and the pipeline asks for k1={k1:g} "
                f"and b={b:g}; index again with the pipeline (resift index … --pipeline, Index.build(…, pipeline=…)), "
                "or leave k1 and b out of it"
            )

    def _check_embedder(self, dense: Retriever) -> None:
        if self.embedder and not (isinstance(dense, ByVectors) and dense.embedder.name == self.embedder):
            raise InputError("an index has the embedder that it was made with; leave the model of dense out")
