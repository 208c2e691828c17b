import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resift import files


def titles(path: Path, source: str) -> list[str]:
    """The passages' titles; checks that every passage is an exact slice and that no word is lost."""
    path.write_text(source, newline="")
    found = list(files.read_file(path))
    for d in found:
        assert source[d.metadata["start"] : d.metadata["end"]] == d.text
        assert source.count("\n", 0, d.metadata["start"]) + 1 == d.metadata["line"]
    assert "".join("".join(d.text for d in found).split()) == "".join(source.split())
    return [d.title for d in found]


PYTHON = '''"""Module."""
import os

# what f does
@decorator
def f(x):
    def inner():
        pass
    return "\\d"


class A:
    """Doc."""

    # what m does
    async def m(self):
        pass

    class B:
        def n(self): ...

if True:
    def g(): ...
'''


def test_python_goes_by_its_syntax_tree(tmp_path: Path) -> None:
    assert titles(tmp_path / "a.py", PYTHON) == ["", "f", "A", "A.m", "A.B", "A.B.n", "", "g"]
    texts = {d.title: d.text for d in files.read_file(tmp_path / "a.py")}
    assert texts["f"].startswith("# what f does\n@decorator\ndef f(x):")
    assert texts["A.m"].startswith("# what m does\n")
    assert titles(tmp_path / "b.py", PYTHON.replace("\n", "\r\n")) == ["", "f", "A", "A.m", "A.B", "A.B.n", "", "g"]


@pytest.mark.parametrize("source", ["print 1\ndef f():\n    pass\nclass A:\n    def m(self):\n        pass\n"])
def test_python_that_does_not_parse_goes_by_the_rule(tmp_path: Path, source: str) -> None:
    assert titles(tmp_path / "a.py", source) == ["", "f", "A", "A.m"]


def test_long_functions_are_cut_under_one_title(tmp_path: Path) -> None:
    body = "\n\n".join(f"    x{i} = {i}\n    y{i} = x{i}" for i in range(200))
    found = titles(tmp_path / "a.py", f"def f():\n{body}\n")
    assert len(found) > 3
    assert set(found) == {"f"}


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        (
            "a.go",
            "package a\n\n// S serves.\ntype S struct {\n\tx int\n}\n\nfunc (s *S) Do(x int) error {\n\treturn nil\n}\n"
            "\nfunc main() {\n}\n",
            ["", "S", "S.Do", "main"],
        ),
        (
            "a.rs",
            "use a;\n\n#[derive(Debug)]\npub struct P {\n    x: i32,\n}\n\nimpl<T> Show for P<T> {\n    pub fn show(\n"
            "        &self,\n    ) -> S {\n        if a { b } else { c }\n    }\n\n    fn other(&self) {}\n}\n",
            ["", "P", "P", "P.show", "P.other"],
        ),
        (
            "A.java",
            "package a;\n\n/** Doc. */\npublic class A extends B {\n    A(int x) {\n        this.x = x;\n    }\n\n"
            "    @Override\n    public String n(@Null String y) throws E {\n        for (int i = 0; i < 3; i++) {\n"
            "            go(i);\n        }\n    }\n}\n",
            ["", "A", "A.A", "A.n"],
        ),
        (
            "a.ts",
            'import { x } from "y";\n\nexport const add = (a: number): number => {\n  return a;\n};\n\nclass C {\n'
            "  total(): number {\n    if (x) {\n      return 1;\n    }\n  }\n  async clear() {\n  }\n}\n\n"
            'describe("x", () => {\n});\n',
            ["", "add", "C", "C.total", "C.clear", ""],
        ),
        (
            "a.c",
            "#include <a.h>\n\nint proto(int);\n\nint main(int argc,\n         char **argv)\n{\n    if (argc) {\n"
            "#ifdef X\n        go();\n#endif\n    }\n}\n\nstruct p *\nmake(void)\n{\n}\n",
            ["", "main", ""],
        ),
        (
            "a.cs",
            "namespace N\n{\n    class C\n    {\n        [Old]\n        void M()\n        {\n        }\n    }\n}\n",
            ["N", "N.C", "N.C.M"],
        ),
        (
            "a.kt",
            "class R(private val d: D) : B() {\n    companion object {\n        fun make() = R()\n    }\n"
            "    override suspend fun find(id: Int): P? {\n        return null\n    }\n}\n"
            "fun <T> List<T>.second(): T = this[1]\n",
            ["R", "R.make", "R.find", "second"],
        ),
        (
            "a.rb",
            "module M\n  class C < B\n    def t\n      a.each do |i|\n        x\n      end\n    end\n\n"
            "    def self.e?\n      true\n    end\n  end\nend\n",
            ["M", "M.C", "M.C.t", "M.C.self.e?"],
        ),
        ("a.lua", "local M = {}\nfunction M.a(x)\n  return x\nend\nreturn M\n", ["", "M.a", ""]),
        ("a.sh", "set -e\nbuild() {\n  make\n}\nfunction go {\n  x\n}\nbuild\n", ["", "build", "go", ""]),
        ("a.sql", "-- All.\nCREATE TABLE IF NOT EXISTS u (\n  id int\n);\n\ncreate view v as\nselect 1;\n", ["u", "v"]),
        (
            "a.php",
            "<?php\nabstract class A\n{\n    public static function m(): self\n    {\n    }\n}\n",
            ["", "A", "A.m"],
        ),
        ("a.swift", "struct S: P {\n    func go(to x: Int) {\n    }\n}\n", ["S", "S.go"]),
        (
            "a.scala",
            "object O {\n  case class P(x: Int)\n  def f(x: Int): Int = {\n    x\n  }\n}\n",
            ["O", "O.P", "O.f"],
        ),
    ],
    ids=lambda v: v if isinstance(v, str) and len(v) < 9 else "",
)
def test_other_languages_go_by_a_rule(tmp_path: Path, name: str, source: str, expected: list[str]) -> None:
    assert titles(tmp_path / name, source) == expected


pieces = st.lists(
    st.sampled_from(
        [
            "class A {",
            "class A:",
            "def f():",
            "fn g() {",
            "}",
            "end",
            "",
            "    ",
            "        x = 1;",
            "    int m(int x) {",
        ]
        + ["# c", "// c", "@a", "    }", "  )", "\r", "type T = {", "'''", "\u2028", "int f(int a,"]
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(pieces, st.sampled_from(sorted(s for s in files.SUFFIXES if s in {".py", ".c", ".rb", ".ts"})))
def test_nothing_is_lost(tmp_path_factory: pytest.TempPathFactory, lines: list[str], suffix: str) -> None:
    titles(tmp_path_factory.mktemp("t") / f"a{suffix}", "\n".join(lines))


@pytest.mark.parametrize(
    "piece", ["a *&", "&a  ", "a* ", "impl<", "a: ", "@a() ", "static ", "const a ", "create ", "<a> "]
)
def test_lines_that_are_nearly_definitions_take_no_time(tmp_path: Path, piece: str) -> None:
    source = "".join(
        start + (piece * 300)[:280] + "\x01\n" for start in ("", "impl<", "create ", "fn <") for _ in range(50)
    )
    (tmp_path / "a.cpp").write_text(source)
    begun = time.process_time()
    list(files.read_file(tmp_path / "a.cpp"))
    assert time.process_time() - begun < 3  # one line of 60 characters took seconds


# Tracing costs some microseconds for each line: many short lines are as telling in a smaller file.
@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("int f(int x) {\n  return x;\n}\n", 400_000),
        ("a(", 3_000_000),
        ("// comment\n", 400_000),
        ("int a" + " b" * 140 + "\n", 3_000_000),
    ],
)
def test_a_large_file_is_streamed(tmp_path: Path, line: str, size: int) -> None:
    path = tmp_path / "a.c"
    path.write_text(line * (size // len(line)))
    tracemalloc.start()
    assert sum(1 for _ in files.read_file(path)) > size / 3000
    assert tracemalloc.get_traced_memory()[1] < size / 2
    tracemalloc.stop()
