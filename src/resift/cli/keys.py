"""Single keys from a terminal, or from a pipe: no Return, no echo, and no half of an arrow key."""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O.|.|$)", re.DOTALL)  # arrows, function keys, Alt and a key


@contextmanager
def keys() -> Iterator[Iterator[str]]:
    """The keys that are pressed, one by one, until input ends; the terminal is as before when the block ends.

    White space is left out, so that a script may write one key on each line.
    """
    if not sys.stdin.isatty():
        piped = cast("io.BufferedReader", sys.stdin.buffer)
        yield _read(lambda: piped.read1(1024))
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSADRAIN)  # keys that were pressed while something was computed count
        yield _read(lambda: os.read(descriptor, 1024))
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _read(read: Callable[[], bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while chunk := read():
        yield from "".join(_SEQUENCE.sub("", decoder.decode(chunk)).split())
