"""Runs a function in a thread while the caller goes on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def run_in_background(function: Callable[[Argument], Result], argument: Argument) -> Future[Result]:
    """The result, to come, of `function(argument)`; its thread does not keep the process from ending."""
    result: Future[Result] = Future()

    def run() -> None:
        try:
            result.set_result(function(argument))
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            result.set_exception(error)

    Thread(target=run, daemon=True, name="resift-background").start()
    return result
