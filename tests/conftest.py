"""Fixtures shared by all tests: no network, a private cache, the bundled model loaded once per precision."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import resift
from resift import Reranker

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # read when Haystack is imported; it would report to its makers

CORPUS = Path(__file__).parent / "data" / "corpus"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kernels", type=Path, help="a folder of compiled kernels to test, instead of the installed ones")


def pytest_configure(config: pytest.Config) -> None:
    if folder := config.getoption("--kernels"):
        from resift.engine.native import encoder_library as encoder_kernel
        from resift.engine.native import maxsim_library as native

        native.LIBRARY, encoder_kernel.LIBRARY = folder / native.LIBRARY.name, folder / encoder_kernel.LIBRARY.name
        assert native.kernel() is not None and native.LIBRARY.exists()


class SocketOpened(AssertionError):
    """Something tried to reach the network."""


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise SocketOpened(f"a socket was used: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True, scope="session")
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESIFT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def mini() -> Reranker:
    """The bundled English model at f32, not named: it leaves alone what it can't read."""
    return Reranker(resift.load("resift-mini-en", precision="f32").scorer, named=False)


@pytest.fixture
def corpus() -> Path:
    return CORPUS
