"""Source code -> passages by function and class, titled with the qualified name.

Python is cut by its syntax tree. Other languages, and Python that does not parse, are cut by a rule: a definition
begins at a line that starts with a defining keyword (`class`, `fn`, `function`, …) or, in the C family, looks like
`type name(…`, and that stands at column 0 or, one step further in, directly inside a class. It ends at the line of the
same column that closes a bracket or is `end`, or before the next definition of that column. A line that ends with `;`
defines nothing. Comments and annotations directly above a definition belong to it.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple

from resift.files.encoding import kind, open_text
from resift.files.text import lines_of, placed
from resift.text.data_uris import without_data
from resift.text.passages import Line, passages
from resift.types import Document

SUFFIXES = frozenset(
    ".py .js .ts .tsx .jsx .go .rs .java .c .h .cpp .hpp .cs .rb .php .sh .sql .kt .swift .scala .lua".split()
)
_C_FAMILY = frozenset(".js .ts .tsx .jsx .java .c .h .cpp .hpp .cs .sh".split())
_LARGEST = 1 << 20  # characters of a Python file up to which it is held whole for its syntax tree
_HEAD = 300  # characters of a line that the rule reads
_MOST_COMMENTS = 200  # lines of comments that wait for a definition below them

_PREFIX = (
    r"(?:@[\w.]+(?:\([^()]*\))?\s+)*"
    r"(?:(?:export|default|declare|public|private|protected|internal|fileprivate|static|final|abstract|sealed|partial|"
    r"async|override|virtual|open|data|case|annotation|inner|companion|inline|suspend|unsafe|const|constexpr|mutating|"
    r"operator|infix|implicit|local|typedef|extern(?:\s+\"[^\"]*\")?|pub(?:\([^)]*\))?)\s+)*"
)
_CLASSES = [
    re.compile(_PREFIX + pattern)
    for pattern in (
        r"(?:class|interface|trait|struct|enum(?:\s+class|\s+struct)?|union|object|module|namespace|record|protocol|"
        r"extension|mod)\s+(?P<name>[\w$:.\\]++)(?!\s*(?:[*&]|\w+\s*[(=;\[]))",
        r"impl(?:<.*?>)?\s+(?:[\w:<>,' &]+\s+for\s+)?(?P<name>[\w:]++)",
        r"type\s+(?P<name>\w+)(?:\[[^\]]*\])?\s+(?:struct|interface)\b",
    )
]
_FUNCTIONS = [
    re.compile(_PREFIX + pattern)
    for pattern in (
        r"func\s+\(\s*(?:\w+\s+)?\*?(?P<receiver>\w+)[^)]*\)\s*(?P<name>\w+)",
        r"(?:def|fn|func|fun|function|macro_rules!)(?:\s*\*\s*|\s+)&?(?:<[^>]*>\s*)?(?:\w+<[^>]*>\.)?(?P<name>[\w$.:?!]++)",
        r"(?:const|let|var)\s+(?P<name>[\w$]++)[^=]*=\s*(?:async\s*)?(?:function\b|[^=]*=>\s*[({]?\s*$|\($)",
        r"type\s+(?P<name>\w++)\s*(?:<[^=]*>)?\s*=",
        r"(?i:create)\s+(?:\w+\s+)*?(?i:table|view|function|procedure|trigger|index|type|schema|policy)\s+"
        r"(?:(?i:if\s+not\s+exists)\s+)?(?P<name>[\w.\"`\[\]]++)",
    )
]
_CALLABLE = re.compile(
    r"(?:@[\w.]+\s+)*(?!(?:if|for|while|switch|catch|else|return|do|try|new|throw|await|with|using|lock|foreach|elif|"
    r"case|delete|typeof|yield|print|echo|assert|super|this|describe|it|test)\b)"
    r"(?P<type>(?:[\w$<>\[\],.*&:?]++\s+[*&]*+)*?)(?P<name>[\w$:~#]+)\s*\((?!.*=>)[^\"'`;]*$"
)
_COMMENT = re.compile(r"//|#|/\*|\*|--|@|\[\w.*\]$|template\b")  # comments, annotations, decorators
_ONLY_CLOSES = re.compile(r"[\])};,]*(?:end)?[\])};,]*")
_CLOSES = re.compile(r"\}|\]|\);|end\b")


class _Definition(NamedTuple):
    """A definition that begins at a line, and whether it may hold others."""

    name: str
    holds: bool


class _Owned(NamedTuple):
    """A line with its definition: the qualified name, and a number that differs for definitions of the same name."""

    block: int
    name: str
    line: Line


def read_code(path: Path) -> Iterator[Document]:
    """Stream a source file's passages; metadata as for text, title the qualified name (`Class.method`) or empty.

    A Python file of up to 1 Mi characters is held whole; all others are streamed.
    """
    suffix = kind(path)
    with open_text(path) as file:
        lines: Iterable[Line] = without_data(lines_of(file))
        owned = None
        if suffix == ".py":
            beginning, lines = _beginning(lines)
            owned = None if lines else _by_tree(beginning)
            lines = chain(beginning, lines)
        if owned is None:
            owned = _by_rule(lines, suffix in _C_FAMILY)
        for (_, name), group in groupby(owned, key=lambda o: (o.block, o.name)):
            for p in passages(o.line for o in group):
                yield placed(p, name, path)


def _beginning(lines: Iterable[Line]) -> tuple[list[Line], Iterable[Line]]:
    """The first lines, as many as are held for a syntax tree, and an iterator over the others, or [] for none."""
    beginning, size, rest = list[Line](), 0, iter(lines)
    for line in rest:
        beginning.append(line)
        size += len(line.text)
        if size > _LARGEST:
            return beginning, rest
    return beginning, []


# --- Python ----------------------------------------------------------------------------------------------------------


def _by_tree(lines: list[Line]) -> Iterator[_Owned] | None:
    """The lines with their definitions, or None where this interpreter can't parse the text as Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the file's own faults, such as invalid escapes
            tree = ast.parse("".join(line.text for line in lines))
        definitions = list(_definitions(tree, ""))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _owned(lines, definitions)


def _definitions(node: ast.AST, above: str) -> Iterator[tuple[int, int, str]]:
    """First row, last row and qualified name of definitions, outer ones first, without those inside functions."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = min([child.lineno, *(d.lineno for d in child.decorator_list)])
            yield first, child.end_lineno or child.lineno, above + child.name
            if isinstance(child, ast.ClassDef):
                yield from _definitions(child, f"{above}{child.name}.")
        elif isinstance(child, (ast.stmt, ast.excepthandler, ast.match_case)):
            yield from _definitions(child, above)


def _owned(lines: list[Line], definitions: list[tuple[int, int, str]]) -> Iterator[_Owned]:
    rows, row = [], 1  # the row of each line as Python counts: a lone \r ends one too
    for line in lines:
        rows.append(row)
        row += line.text.endswith(("\n", "\r"))
    texts = dict(zip(rows, (line.text for line in lines), strict=True))
    owner = [0] * (row + 1)
    for i, (first, last, _) in enumerate(definitions, 1):
        while texts.get(first - 1, "").lstrip().startswith("#") and owner[first - 1] == owner[first]:
            first -= 1
        owner[first : last + 1] = [i] * (last + 1 - first)
    block, before = 0, 0
    for line, row in zip(lines, rows, strict=True):
        block += owner[row] != before
        before = owner[row]
        yield _Owned(block, definitions[before - 1][2] if before else "", line)


# --- any language ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Open:
    """A definition that has begun: its name, its column, whether it may hold others and, if so, at which column."""

    name: str
    column: int
    holds: bool
    inner: int = -1

    def takes(self, column: int) -> bool:
        """Whether a definition may begin at this column: beside this one, or directly inside it."""
        return column == self.column or (
            self.holds and column > self.column and (self.inner < 0 or column <= self.inner)
        )


def _by_rule(lines: Iterable[Line], c_family: bool) -> Iterator[_Owned]:
    path: list[_Open] = []
    comments: list[Line] = []
    block = 0
    last = _Owned(0, "", Line("", 1, 0))

    def owned(some: Iterable[Line]) -> Iterator[_Owned]:
        name = ".".join(o.name for o in path)
        return (_Owned(block, name, line) for line in some)

    for line in lines:
        bare = line.text[:_HEAD].strip()
        column = len(line.text[:_HEAD]) - len(line.text[:_HEAD].lstrip())
        definition = _definition(bare, c_family and len(line.text) <= _HEAD)
        if bare and not definition and _COMMENT.match(bare) and len(comments) < _MOST_COMMENTS:
            comments.append(line)
            continue
        if bare:
            before = len(path)
            path = _still_open(path, column, definition)
            block += len(path) != before
            if definition and (path[-1].takes(column) if path else column == 0):
                if path:
                    path[-1].inner = column
                path = [*path, _Open(definition.name, column, definition.holds)]
                block += 1
        if _ONLY_CLOSES.fullmatch(bare) and not comments:  # also a blank line: no passage of its own
            yield last._replace(line=line)
        else:
            for last in owned([*comments, line]):
                yield last
        comments = []
        if path and path[-1].column == column and _ends(bare, line.text):
            path = path[:-1]
            block += 1
    yield from owned(comments)


def _still_open(path: list[_Open], column: int, definition: _Definition | None) -> list[_Open]:
    """The definitions that a line at `column` does not end, by its column or as a definition of the same column."""
    surrounding = [o for o in path if o.column <= column]
    return [o for o in surrounding if o.column < column] if definition else surrounding


def _ends(bare: str, text: str) -> bool:
    """Whether a line at a definition's own column is its last."""
    whole = text.rstrip()
    if _CLOSES.match(bare):
        return not whole.endswith(("{", "(", "["))
    return "{" in whole and whole.endswith(("}", "};"))


def _definition(bare: str, c_family: bool) -> _Definition | None:
    if not bare or bare.endswith(";"):
        return None
    for patterns, holds in ((_CLASSES, True), (_FUNCTIONS, False)):
        for pattern in patterns:
            if match := pattern.match(bare):
                parts = match.groupdict()
                names = [parts.get("receiver"), parts["name"].strip(':."`')]
                return _Definition(".".join(n for n in names if n), holds)
    if c_family and (match := _CALLABLE.match(bare)) and (bare.endswith("{") or match["type"]):
        return _Definition(match["name"], False)
    return None
