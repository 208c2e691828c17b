"""Writes what was tuned into a folder that every `--pipeline` reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from resift import atomic
from resift.errors import InputError
from resift.pipeline import PIPELINE_FILE, Pipeline
from resift.tune.result import Tuned

REPORT_FILE = "report.json"


def check_folder(folder: Path) -> None:
    """Refuse a folder that can't be used, before anything is scored.

    Raises:
        InputError: it holds other files, or can't be made.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = any(folder.iterdir()) and not (folder / PIPELINE_FILE).exists()
    except OSError as error:
        raise InputError(f"can't make the folder {folder}: {error.strerror or error}; name another") from error
    if others:
        raise InputError(f"{folder} holds other files; name an empty folder, or one that `resift tune` made")


def write(result: Tuned, folder: Path) -> Tuned:
    """Write pipeline.toml, report.json and the files of a learned stage; gives the result with the stage in its text.

    Raises:
        InputError: as `check_folder`.

    """
    check_folder(folder)
    pipeline = Pipeline.parse(result.pipeline)
    if result.learned is not None:
        pipeline = replace(pipeline, stages=(*pipeline.stages, result.learned.save(folder)))
        result = replace(result, pipeline=str(pipeline), learned=None)
    report = json.dumps(result.as_json(), ensure_ascii=False, allow_nan=False, indent=1)
    atomic.write(folder / REPORT_FILE, [report.encode("utf-8", "replace"), b"\n"])
    atomic.write(folder / PIPELINE_FILE, [pipeline.to_toml().encode()])
    return result
