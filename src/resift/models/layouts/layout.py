"""One way to lay out a model's folder, as a row of `models.recognition`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from resift.models.contract import Contract
from resift.models.folder import ModelFolder


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout.

    Attributes:
        name: of the library and the kind of model that it saves so.
        recognises: whether a folder is laid out so, by its files and never by its name.
        contract: the folder's contract. It raises UnknownFamily for a setting that Resift does not have, and
            BrokenModel for a file that can't be read.

    """

    name: str
    recognises: Callable[[ModelFolder], bool]
    contract: Callable[[ModelFolder], Contract]
