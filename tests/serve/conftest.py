"""A real uvicorn server on loopback, and scorers that fail on purpose."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from resift import Reranker
from resift.protocols import Role
from resift.serve.run import listening
from resift.serve.runtime.served_models import ServedModel
from resift.types import Pair, Scores

Live = Callable[..., httpx.Client]


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback only."""
    connect = socket.socket.connect

    def local(self: socket.socket, address: Any) -> None:
        assert isinstance(address, (str, bytes)) or address[0] in ("127.0.0.1", "::1", "localhost"), address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)


class Meddled:
    """A real scorer, with something done before each call; passed through the public seam."""

    def __init__(self, scorer: Any, before: Callable[[Sequence[Pair]], None], name: str = "") -> None:
        self._scorer, self._before = scorer, before
        self.info = replace(scorer.info, name=name or scorer.info.name)

    def foreign(self, texts: Sequence[str], role: Role) -> list[str]:
        return list(self._scorer.foreign(texts, role))

    def misfit(self, query: str, passages: Sequence[str]) -> str:
        return str(self._scorer.misfit(query, passages))

    def start_of(self, text: str, tokens: int) -> str:
        return str(self._scorer.start_of(text, tokens))

    def score(self, pairs: Sequence[Pair]) -> Scores:
        self._before(pairs)
        return self._scorer.score(pairs)


def meddled(mini: Reranker, before: Callable[[Sequence[Pair]], None], name: str = "") -> ServedModel:
    return ServedModel.of(Reranker(Meddled(mini.scorer, before, name)), name)


@contextmanager
def running(app: Starlette, wait: bool = True) -> Iterator[httpx.Client]:
    """Serve on a free port in a thread; the client waits until the models are warm."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=10))
    with listening("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        limits = httpx.Limits(max_connections=200)
        with httpx.Client(base_url=url, timeout=60, limits=limits, trust_env=False) as client:
            try:
                until = time.monotonic() + 30
                while wait and client.get("/ready").status_code != 200:
                    assert time.monotonic() < until, "never ready"
                    time.sleep(0.02)
                yield client
            finally:
                server.should_exit = True
                thread.join(20)
                assert not thread.is_alive()


@pytest.fixture
def live() -> Iterator[Callable[[Starlette], httpx.Client]]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        yield lambda app, wait=True: stack.enter_context(running(app, wait))


def post(client: httpx.Client, path: str, body: Any, status: int = 200) -> Any:
    """The answer to a JSON body, which has this status."""
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()
