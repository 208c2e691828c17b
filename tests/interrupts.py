"""Ctrl-C for commands that tests start."""

import signal


def allow_interrupt() -> None:
    """Let SIGINT end the process, to be called in a child before its command runs.

    A shell starts background jobs with SIGINT ignored, and their children inherit that: without this, whether a test of
    Ctrl-C passes would depend on who started the suite.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
