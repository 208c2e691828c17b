"""PyLate: modules.json, and model_type ColBERT in config_sentence_transformers.json.

Where PyLate and sentence-transformers fill a gap differently, the filling of the library that wrote the folder counts.
"""

from __future__ import annotations

from resift.models.config_entries import whole
from resift.models.contract import Contract
from resift.models.folder import SETTINGS, ModelFolder
from resift.models.inputs import LateInput
from resift.models.layouts.late import PUNCTUATION, fill_token, late_contract
from resift.models.layouts.layout import Layout


def _recognises(folder: ModelFolder) -> bool:
    modules = folder.modules
    if modules is None or modules.scores_pairs:
        return False
    return modules.model_type == "ColBERT" or "query_prefix" in modules.settings


def _contract(folder: ModelFolder) -> Contract:
    """As pylate.models.ColBERT, with its defaults where the folder is silent."""
    modules = folder.modules
    assert modules is not None  # it was recognised by them
    settings, path = modules.settings, folder.path / SETTINGS
    length = whole(settings, "query_length", path) or 32
    markers = [settings.get(f"{role}_prefix") for role in ("query", "document")]
    query, document = ("[Q] " if markers[0] is None else markers[0], "[D] " if markers[1] is None else markers[1])
    expand = settings.get("do_query_expansion") is not False
    words = settings.get("skiplist_words")
    record = LateInput(
        query_marker=query,
        document_marker=document,
        query_prefix=modules.prompt("query").removeprefix(query),
        document_prefix=modules.prompt("document").removeprefix(document),
        query_tokens=length,
        expand=length if expand else 0,
        fill=fill_token(folder),
        attend=bool(settings.get("attend_to_expansion_tokens")) and expand,
        skip_words=PUNCTUATION if words is None else tuple(words),
        skip_in=("document",),
        reduce="sum",
    )
    return late_contract(folder, record, whole(settings, "document_length", path) or 180)


LAYOUT = Layout("PyLate", _recognises, _contract)
