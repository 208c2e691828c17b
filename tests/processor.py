"""What the processor at hand has."""

import pytest

from resift.engine.openvino import fastest_float


def skip_without(precision: str) -> None:
    """Skip a test of a precision that this processor would imitate; to be called in a test, whose cache is its own."""
    if precision == "bf16" and fastest_float() != "bf16":
        pytest.skip("this processor has no bf16")
