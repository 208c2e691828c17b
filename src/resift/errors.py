"""Everything that Resift refuses, as one tree; each message says what is wrong and what to do about it.

* ResiftError
    - InputError          the caller's data can't be used: an unreadable file, an empty query, a malformed line
    - ModelError          a model is not usable
        . NotAModel       the path or name leads to no model folder
        . UnknownFamily   a model folder, but of no family that Resift scores with
        . BrokenModel     the right family, but files are missing, damaged or contradict each other
    - ScoreError          scores that can't be what they claim
        . KindError       two kinds of score were mixed, or one was converted twice
        . NonFiniteScore  NaN or infinity came out of a model
    - MissingExtra        an optional dependency is not installed
"""


class ResiftError(Exception):
    """Root of the tree: catch it to catch all that Resift raises on purpose."""


class InputError(ResiftError):
    """The caller's data can't be used as it is; nothing was changed."""


class ModelError(ResiftError):
    """A model is not usable."""


class NotAModel(ModelError):
    """The path or name leads to no model folder."""


class UnknownFamily(ModelError):
    """A model folder of no family that Resift scores with."""


class BrokenModel(ModelError):
    """Files of a model are missing, damaged or contradict each other."""


class ScoreError(ResiftError):
    """Scores that can't be what they claim to be."""


class KindError(ScoreError):
    """Two kinds of score were mixed, or a score was converted twice."""


class NonFiniteScore(ScoreError):
    """NaN or infinity came out of a model."""


class MissingExtra(ResiftError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: pip install 'resift[{extra}]'")
