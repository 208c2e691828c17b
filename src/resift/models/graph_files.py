"""Graphs that a folder carries as ONNX or OpenVINO files, where a hub's exporters put them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from resift.engine.weights.checkpoint_files import weight_files
from resift.errors import BrokenModel
from resift.models.contract import Contract
from resift.models.folder import ModelFolder

BESIDE = ("openvino_model.xml", "model.onnx")  # beside config.json: the model itself, as `resift export` writes it
BELOW = ("openvino/openvino_model.xml", "onnx/model.onnx")  # beside weights mostly, of which they are a copy
_FOLDERS = (".", "onnx", "openvino")


def graph_file(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of these files that a folder has."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def holds_whole_graph(folder: ModelFolder, contract: Contract) -> bool:
    """Whether a graph file beside config.json is the whole model, head included, rather than a bare encoder."""
    when = contract.row.whole_graph
    return folder.has_contract if when == "own" else when == "always" and not folder.has_modular_head


def onnx_file(folder: ModelFolder, contract: Contract) -> Path | None:
    """A folder's ONNX file of the whole model in full precision."""
    return graph_file(folder.path, ("model.onnx", "onnx/model.onnx")) if holds_whole_graph(folder, contract) else None


def weights_or_graph(folder: Path) -> list[Path] | Path:
    """The files of a folder's weights; where it has none, the graph in its subfolder.

    Raises:
        BrokenModel: neither. The message lists graphs under other names; none of them is chosen, for a quantised copy
            gives other scores.

    """
    try:
        return weight_files(folder)
    except BrokenModel as error:
        if graph := graph_file(folder, BELOW):
            return graph
        others = [p.relative_to(folder).as_posix() for below in _FOLDERS for p in sorted((folder / below).glob("*"))
                  if p.suffix in (".onnx", ".xml")]  # fmt: skip
        if not others:
            raise
        raise BrokenModel(
            f"{folder} has no weights and no model.onnx in full precision, but {', '.join(others)}, which may score "
            f"otherwise; to use one of them, copy it to {folder / 'model.onnx'} (an .xml with its .bin to "
            "openvino_model.xml and .bin)"
        ) from error
