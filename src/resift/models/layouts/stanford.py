"""Stanford ColBERT: architecture HF_ColBERT, artifact.metadata, and a tensor linear.weight among the encoder's."""

from __future__ import annotations

from resift.errors import UnknownFamily
from resift.models.config_entries import whole
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.inputs import LateInput
from resift.models.layouts.late import PUNCTUATION, late_contract
from resift.models.layouts.layout import Layout


def _contract(folder: ModelFolder) -> Contract:
    """As colbert-ai's QueryTokenizer, DocTokenizer and ColBERT.mask, with its defaults where metadata is silent."""
    metadata, path = folder.object("artifact.metadata"), folder.path / "artifact.metadata"
    if metadata.get("similarity", "cosine") != "cosine":
        raise UnknownFamily(f"{folder} compares by {metadata['similarity']}; Resift has cosine MaxSim")
    length = whole(metadata, "query_maxlen", path) or 32
    record = LateInput(
        query_marker=metadata.get("query_token_id") or "[unused0]",
        document_marker=metadata.get("doc_token_id") or "[unused1]",
        query_tokens=length,
        expand=length,
        fill=folder.special_token("mask_token", "[MASK]"),
        attend=bool(metadata.get("attend_to_mask_tokens")),
        skip_words=PUNCTUATION if metadata.get("mask_punctuation", True) else (),
        skip_in=("document",),
        reduce="sum",
    )
    return late_contract(folder, record, whole(metadata, "doc_maxlen", path) or 220)


LAYOUT = Layout(
    "Stanford ColBERT", lambda folder: "HF_ColBERT" in (folder.config.get("architectures") or ()), _contract
)
