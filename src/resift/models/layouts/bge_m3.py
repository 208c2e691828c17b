"""bge-m3: an embedder with a second head for token vectors in colbert_linear.pt, by which it can rerank."""

from __future__ import annotations

from dataclasses import replace

from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.inputs import EmbedderInput, LateInput
from resift.models.layouts.layout import Layout
from resift.types import ScoreKind

SECOND_HEAD = "colbert_linear.pt"  # beside modules.json or beside the encoder


def _contract(folder: ModelFolder) -> Contract:
    """As FlagEmbedding's M3Embedder, which saves no modules.json."""
    limit = folder.positions
    return Contract(folder.name, "embedder", ScoreKind.COSINE, limit, limit, EmbedderInput(pooling=("cls",)))


def to_rerank(folder: ModelFolder, contract: Contract) -> Contract:
    """The contract by which a folder scores pairs: an embedder with bge-m3's second head has another than its own.

    As FlagEmbedding's M3Embedder: the vectors of all tokens but the first special one, and the mean over the query's.
    """
    if contract.family != "embedder" or not folder.has(SECOND_HEAD):
        return contract
    first = folder.encoder.special_token("cls_token", "<s>")
    record = LateInput(special=True, skip_words=(first,), reduce="mean", pooled=False, rounded=False)
    return replace(contract, family="late", kind=ScoreKind.MAXSIM, input=record)


LAYOUT = Layout("bge-m3", lambda folder: folder.modules is None and folder.has(SECOND_HEAD), _contract)
