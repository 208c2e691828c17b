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
        . NotCalibrated   a calibration was made for other scores than these
    - ServiceError        a server can't answer a request
        . UnknownModel    no model of that name is served
        . Overloaded      too much is waiting; it says after how many seconds to come again
        . TooLarge        a request is over a limit; it says which, and by how much
        . ModelFailed     the model raised or hung on a whole request, or has done so too often lately
    - MissingExtra        an optional dependency is not installed
"""

import re


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


class NotCalibrated(ScoreError):
    """A calibration was made for other scores than these: another model, precision or setting."""


class ServiceError(ResiftError):
    """A server can't answer a request."""


class UnknownModel(ServiceError):
    """No model of that name is served."""


class Overloaded(ServiceError):
    """Too much is waiting already; `retry_after` is in how many seconds there will be room."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooLarge(ServiceError):
    """A request is over a limit; the message has both numbers."""


class ModelFailed(ServiceError):
    """The model raised or hung on a whole request; `retry_after` seconds when it is left alone for now, else 0."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MissingExtra(ResiftError):
    """An optional dependency is not installed; the message has the line that installs it, wherever Resift came from."""

    def __init__(self, what: str, extra: str) -> None:
        packages = _lacking(extra)
        line = " ".join(f"'{p}'" for p in packages) if packages else f"'.[{extra}]' in a checkout of Resift"
        super().__init__(f"{what} needs what is not installed: pip install {line}")


def _lacking(extra: str) -> list[str]:
    """The requirements of an extra that are not installed, or all of them; from the package's own metadata."""
    from importlib.metadata import PackageNotFoundError, requires, version

    def there(requirement: str) -> bool:
        try:
            return bool(version(re.split(r"[^\w.-]", requirement, maxsplit=1)[0]))
        except PackageNotFoundError:
            return False

    try:
        requirements = [r.partition(";") for r in requires("resift") or ()]
    except PackageNotFoundError:  # run from its source, without having been installed
        return []
    distributions = [
        r.strip() for r, _, marker in requirements if re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", marker)
    ]
    return [r for r in distributions if not there(r)] or distributions
