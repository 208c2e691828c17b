"""A server of the bundled model at f32: in this process for bodies, on a real port for real clients."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from resift import Reranker
from resift.serve.app import create_app
from resift.serve.runtime.served_models import ServedModel
from tests.serve.conftest import running


@pytest.fixture(scope="module")
def http(mini: Reranker) -> Iterator[TestClient]:
    with TestClient(create_app([ServedModel.of(mini)])) as client:
        yield client


@pytest.fixture(scope="package")
def live(mini: Reranker) -> Iterator[str]:
    """The URL of a server on a free port."""
    with running(create_app([ServedModel.of(mini)]), wait=False) as client:
        yield str(client.base_url).rstrip("/")
