"""The ends of sentences, roughly: good enough to cut a text and to widen a range to whole sentences."""

import re

SENTENCE_END = re.compile(r"[.!?…](?=\s)|[。！？]|\n")
_REACH = 200  # characters by which a range grows at most on each side


def widen(text: str, start: int, end: int) -> tuple[int, int]:
    """Grow a range to whole sentences, or by 200 characters to a word's edge where a sentence is longer."""
    ends = [m.end() for m in SENTENCE_END.finditer(text, max(0, start - _REACH), start)]
    if ends:
        left = ends[-1]
    elif start <= _REACH:
        left = 0
    else:
        left = text.find(" ", start - _REACH, start) + 1 or start
    following = SENTENCE_END.search(text, max(start, end - 1), end + _REACH)
    if following:
        right = following.end()
    elif end + _REACH >= len(text):
        right = len(text)
    else:
        right = max(text.rfind(" ", end, end + _REACH), end)
    part = text[left:right]
    return left + len(part) - len(part.lstrip()), right - (len(part) - len(part.rstrip()))
