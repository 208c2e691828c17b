"""The folder in which compiled models and picked precisions are kept; everything runs without it, only slower."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

VARIABLE = "RESIFT_CACHE"
_REMEDY = f"going on without a cache (set {VARIABLE} to a folder that can be written)"


def cache_folder() -> Path | None:
    """$RESIFT_CACHE, else $XDG_CACHE_HOME/resift, else ~/.cache/resift; None where no home folder is known.

    A leading "~" is the home folder in either variable: a unit or env file does not expand it.
    """
    variable, shared = os.environ.get(VARIABLE), os.environ.get("XDG_CACHE_HOME")
    path = variable or os.path.join(shared or "~/.cache", "resift")
    folder = os.path.expanduser(path)  # leaves "~" where neither HOME nor the system's table of users has a home
    return None if folder.startswith("~") else Path(folder)


def compiled_models() -> Path | None:
    """Where compiled models may be kept, made if need be; None, with one warning, where that can't be.

    A folder that may only be read serves what it holds; the warning is for one that holds nothing.
    """
    root = cache_folder()
    if root is None:
        warnings.warn(f"there is no home folder to keep compiled models in; {_REMEDY}", stacklevel=2)
        return None
    folder = root / "openvino"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK) or any(folder.iterdir()):
            return folder
        reason = "it may only be read"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    warnings.warn(f"can't write compiled models to {folder} ({reason}); {_REMEDY}", stacklevel=2)
    return None
