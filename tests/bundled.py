"""Marks for tests that need a bundled model whose weights may not be in a checkout yet."""

import pytest

from resift.score.load import BUNDLED


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test where one of these models does not ship."""
    missing = [name for name in names if not (BUNDLED / name / "contract.json").exists()]
    return pytest.mark.skipif(bool(missing), reason=f"not bundled: {', '.join(missing)}")


needs_multi = needs("resift-mini-multi")
