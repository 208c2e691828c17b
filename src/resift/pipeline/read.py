"""A pipeline from wherever it is written: its text, a file of it, or the folder that `resift tune` makes."""

from __future__ import annotations

import os
from pathlib import Path

from resift.errors import InputError
from resift.pipeline.retrieval import Retrieval
from resift.pipeline.value import Pipeline

PipelineLike = Pipeline | str | os.PathLike[str]
PIPELINE_FILE = "pipeline.toml"


def read_pipeline(pipeline: PipelineLike) -> Pipeline:
    """The pipeline itself, or of a folder with a pipeline.toml, of a file that ends in .toml, or else of its text.

    Raises:
        InputError: something else, a file that can't be read, or text that is no pipeline.

    """
    if isinstance(pipeline, Pipeline):
        return pipeline
    if not isinstance(pipeline, (str, os.PathLike)):
        raise InputError(f"a pipeline is its text, a file or folder of it; not of type {type(pipeline).__name__}")
    text = os.fspath(pipeline)
    path = _file_of(Path(os.path.expanduser(text)))
    if path is None:
        return Pipeline.parse(text)
    try:
        return Pipeline.from_toml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read ({getattr(error, 'strerror', None) or error})") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def retrieval_of(pipeline: PipelineLike | None, embedder: str | None = None) -> Retrieval:
    """What a pipeline says of the retrievers of an index.

    Args:
        pipeline: None says nothing.
        embedder: one that was named apart.

    Raises:
        InputError: as `read_pipeline`, or the pipeline names another embedder than the one that was named apart.

    """
    retrieval = Retrieval() if pipeline is None else read_pipeline(pipeline).retrieval
    if embedder is not None and retrieval.embedder not in ("", embedder):
        raise InputError(f"the pipeline names the embedder {retrieval.embedder}, not {embedder}; name one of the two")
    return retrieval


def _file_of(path: Path) -> Path | None:
    """The TOML file that a path means; None where the text is no path of one."""
    try:
        if path.is_dir():
            return path / PIPELINE_FILE if (path / PIPELINE_FILE).is_file() else None
    except (OSError, ValueError):  # no name of a file: too long, or with a zero
        return None
    return path if path.suffix == ".toml" else None
