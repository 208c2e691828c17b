"""Loads the models and the index of the settings, and serves them until a signal comes."""

from __future__ import annotations

import gc
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

from resift.api import Index
from resift.errors import InputError, MissingExtra
from resift.machine import few_arenas
from resift.rerank.when import WhenRule
from resift.serve.app import create_app
from resift.serve.http.logs import event, to_stderr
from resift.serve.runtime.served_models import load_models
from resift.serve.settings import Settings

try:
    import uvicorn
except ImportError as error:
    raise MissingExtra("resift serve", "serve") from error

_SWITCH_S = 0.001  # after which a worker thread gives way to the event loop; Python's default is 0.005
_KEEP_ALIVE = 75  # seconds, as in nginx; clients close idle connections after 5 or 60, and must be the first to do so


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; accepted requests are then answered, for `grace_s` at most.

    Raises:
        InputError: an index, a port or a setting that can't be used.
        ModelError: a model that can't be used.
        NotCalibrated: a calibration that is for another version, precision or setting of its model.

    """
    few_arenas()
    sys.setswitchinterval(_SWITCH_S)
    if settings.offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    to_stderr(settings.log_level)
    if settings.when:
        WhenRule.read(Path(os.path.expanduser(settings.when)))  # a wrong one is refused before anything is served
    models = load_models(settings.models, settings.precision, settings.calibrated)
    spares = load_models(settings.fallback, settings.precision, settings.calibrated) if settings.fallback else []
    fingerprints = {model.info.name: model.info.fingerprint for model in models}
    for spare in spares:
        if fingerprints.get(spare.info.name, spare.info.fingerprint) != spare.info.fingerprint:
            raise InputError(f"two models are called {spare.info.name}; name each once")
    settings = replace(settings, fallback=tuple(spare.info.name for spare in spares))
    served = {model.info.name: model for model in (*models, *spares)}
    index = Index.open(os.path.expanduser(settings.index)) if settings.index else None
    failures: list[Exception] = []

    def stop(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    app = create_app(list(served.values()), settings, index, _freeze_objects, stop)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE, timeout_graceful_shutdown=int(settings.grace_s) or None,
    )  # fmt: skip
    server = uvicorn.Server(config)
    with listening(settings.host, settings.port) as listener:
        host, port = listener.getsockname()[:2]
        event("listening", url=f"http://{f'[{host}]' if ':' in host else host}:{port}", models=list(served))
        server.run([listener])
    if failures:
        raise failures[0]


def _freeze_objects() -> None:
    """Take all objects that exist now out of garbage collections, which held up every request for 50 to 90 ms."""
    gc.collect()
    gc.freeze()


def listening(host: str, port: int) -> socket.socket:
    """A listening socket that names TCP; with one that does not, asyncio leaves Nagle's delay of 40 ms on.

    Raises:
        InputError: the address can't be used.

    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(2048)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError) as error:
        raise InputError(f"can't listen on {host}:{port} ({error}); choose another --host or --port") from error
    return listener
