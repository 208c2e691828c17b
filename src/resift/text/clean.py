"""Replaces characters that tokenizers and JSON can't take by U+FFFD, one by one, so that offsets stay right."""

import re

# Lone surrogates (text out of PDFs), NUL and the other controls, but not those that are white space.
_UNSAFE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")


def clean(text: str) -> str:
    """Return text with every unsafe character replaced by U+FFFD; the length does not change."""
    return _UNSAFE.sub("�", text)
