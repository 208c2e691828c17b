"""Graphs that a folder carries as ONNX or OpenVINO files, where a hub's exporters put them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from resift.engine.weights.checkpoint_files import weight_files
from resift.errors import BrokenModel

OWN = ("openvino_model.xml", "model.onnx")  # beside config.json: the model itself, as `resift export` writes it
BELOW = ("openvino/openvino_model.xml", "onnx/model.onnx")  # beside weights mostly, of which they are a copy
_FOLDERS = (".", "onnx", "openvino")


def exported(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of these files that a folder has."""
    return next((folder / name for name in names if (folder / name).exists()), None)


def onnx_file(folder: Path) -> Path | None:
    """A folder's ONNX file in full precision."""
    return exported(folder, ("model.onnx", "onnx/model.onnx"))


def weights_or_graph(folder: Path) -> list[Path] | Path:
    """The files of a folder's weights; where it has none, the graph in its subfolder.

    Raises:
        BrokenModel: neither; what is there under other names is listed, and none of it is chosen: a quantised copy
            gives other scores.

    """
    try:
        return weight_files(folder)
    except BrokenModel as error:
        if found := exported(folder, BELOW):
            return found
        others = [p.relative_to(folder).as_posix() for below in _FOLDERS for p in sorted((folder / below).glob("*"))
                  if p.suffix in (".onnx", ".xml")]  # fmt: skip
        if not others:
            raise
        raise BrokenModel(
            f"{folder} has no weights and no model.onnx in full precision, but {', '.join(others)}, which may score "
            f"otherwise; to use one of them, copy it to {folder / 'model.onnx'} (an .xml with its .bin to "
            "openvino_model.xml and .bin)"
        ) from error
