"""The cache folder of compiled models and chosen precisions; without it everything works, but more slowly."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

VARIABLE = "RESIFT_CACHE"
_REMEDY = f"going on without a cache (set {VARIABLE} to a folder that can be written)"


def cache_folder() -> Path | None:
    """$RESIFT_CACHE, else $XDG_CACHE_HOME/resift, else ~/.cache/resift; None where there is no home folder.

    A leading "~" in either variable is the home folder, because systemd units and env files do not expand it.
    """
    variable, shared = os.environ.get(VARIABLE), os.environ.get("XDG_CACHE_HOME")
    path = variable or os.path.join(shared or "~/.cache", "resift")
    folder = os.path.expanduser(path)  # leaves "~" where neither HOME nor the system's table of users has a home
    return None if folder.startswith("~") else Path(folder)


def compiled_models() -> Path | None:
    """The folder of compiled models, which is made if it is missing; None, with one warning, where that fails.

    A read-only folder is used for the models in it; the warning is for an empty one.
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
