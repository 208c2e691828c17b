"""From a folder to its contract: known layouts are tried in order, by the folder's files and never by its name."""

from __future__ import annotations

from pathlib import Path

from resift.errors import NotAModel
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.layouts import (
    bge_m3,
    model2vec,
    peft_adapter,
    pylate,
    resift_folder,
    sentence_transformers,
    stanford,
    transformers,
)

# The first that recognises a folder counts. An adapter comes first, for it lies beside a model that is loaded
# otherwise; a folder's own contract before what can be derived; Transformers last, for all the others have a
# config.json too.
LAYOUTS = (
    peft_adapter.LAYOUT,
    resift_folder.LAYOUT,
    model2vec.LAYOUT,
    stanford.LAYOUT,
    bge_m3.LAYOUT,
    pylate.LAYOUT,
    sentence_transformers.CROSS_ENCODER,
    sentence_transformers.MULTI_VECTOR,
    sentence_transformers.EMBEDDER,
    transformers.LAYOUT,
)
_MOST_NAMES = 10  # subfolders that a message lists, the last ones


def contract_of(folder: ModelFolder) -> Contract:
    """The folder's own contract, else one derived from its config and tensor names.

    Raises:
        NotAModel: no contract and no config.
        UnknownFamily: a model, but none that Resift scores with, or an adapter beside one.
        BrokenModel: the contract or the config can't be read.

    """
    for layout in LAYOUTS:
        if layout.recognises(folder):
            return layout.contract(folder)
    raise NotAModel(f"{folder} is not a model folder: it has neither contract.json nor config.json{_below(folder)}")


def read_contract(path: Path) -> Contract:
    """The contract of the folder at a path; see `contract_of`."""
    return contract_of(ModelFolder(path))


def _below(folder: ModelFolder) -> str:
    """The models in its subfolders, such as a Trainer's checkpoints or the snapshots of the hub's cache."""
    within = [p.parent for depth in ("*", "*/*") for p in folder.path.glob(f"{depth}/config.json")]
    if not within:
        return ""
    names = sorted((p.relative_to(folder.path).as_posix() for p in within), key=lambda n: (len(n), n))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"; name one of its subfolders, which have one: {', '.join(names[-_MOST_NAMES:])}{more}"
