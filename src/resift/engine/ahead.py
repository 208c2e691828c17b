"""Work that a thread does while its caller goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def begun(make: Callable[[Given], Made], given: Given) -> Future[Made]:
    """`make(given)`, under way in a thread of its own, which keeps no process from ending."""
    coming: Future[Made] = Future()

    def run() -> None:
        try:
            coming.set_result(make(given))
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            coming.set_exception(error)

    Thread(target=run, daemon=True, name="resift-ahead").start()
    return coming
