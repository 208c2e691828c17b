"""A server of the bundled model at f32: in this process for bodies, on a real port for real clients."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.testclient import TestClient

from resift import Reranker
from resift.serve.app import create_app
from resift.serve.models import ServedModel
from tests.conftest import SocketOpened


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine may be reached, nothing else."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: tuple[str, int]) -> None:
        if address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise SocketOpened(f"a socket was used: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="module")
def http(mini: Reranker) -> Iterator[TestClient]:
    with TestClient(create_app([ServedModel.of(mini)])) as client:
        yield client


@pytest.fixture(scope="package")
def live(mini: Reranker) -> Iterator[str]:
    """The URL of a server on a free port."""
    server = uvicorn.Server(
        uvicorn.Config(create_app([ServedModel.of(mini)]), host="127.0.0.1", port=0, log_level="warning")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()
