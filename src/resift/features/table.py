"""The table of all features; a new feature is one function and one row."""

from __future__ import annotations

from resift.features.feature import Definition
from resift.features.forms import FORM_FEATURES
from resift.features.lexical import LEXICAL
from resift.features.metadata import METADATA
from resift.features.signals import SIGNALS

TABLE: dict[str, Definition] = {row.name: row for row in (*SIGNALS, *LEXICAL, *FORM_FEATURES, *METADATA)}
