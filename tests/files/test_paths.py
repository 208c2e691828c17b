import os
import subprocess
import sys
from pathlib import Path

import pytest

from resift import InputError, files


def read(folder: Path) -> tuple[list[str], list[str]]:
    """The files that were read and those that were skipped, relative to the folder."""
    skipped: list[files.Skipped] = []
    found = [str(Path(d.metadata["path"]).relative_to(folder)) for d in files.read_paths([folder], skipped.append)]
    return found, [str(Path(s.path).relative_to(folder)) for s in skipped]


def files_in(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_gitignore_files_of_all_levels_count(tmp_path: Path) -> None:
    files_in(tmp_path, "a.txt", "b.txt", "build/c.txt", "sub/a.txt", "sub/b.txt", "sub/d/e.txt", "t/top.txt", "z/b.txt")
    (tmp_path / ".gitignore").write_text("# comment\nb.txt\nbuild/\n/top.txt\n[z-a]\n!\n")  # two lines are no pattern
    (tmp_path / "sub" / ".gitignore").write_text("!b.txt\r\na.txt\r\nd/*.txt\r\n")
    assert read(tmp_path) == (["a.txt", "sub/b.txt", "t/top.txt"], [])


def test_a_file_that_is_named_is_always_read(tmp_path: Path) -> None:
    files_in(tmp_path, "a.txt", ".hidden.txt", "odd.xyz")
    (tmp_path / ".gitignore").write_text("*\n")
    assert read(tmp_path) == ([], [])
    named = [tmp_path / n for n in ("a.txt", ".hidden.txt", "odd.xyz")]
    assert [d.text for d in files.read_paths(named)] == ["a.txt", ".hidden.txt", "odd.xyz"]


def test_order_is_by_name_files_first(tmp_path: Path) -> None:
    names = ["b/y.txt", "c.txt", "a.txt", "b/x.txt", "a/z.txt", "b/a/q.txt"]
    files_in(tmp_path, *names)
    assert read(tmp_path)[0] == ["a.txt", "c.txt", "a/z.txt", "b/x.txt", "b/y.txt", "b/a/q.txt"]


def test_links_that_lead_nowhere_or_round(tmp_path: Path) -> None:
    files_in(tmp_path, "sub/a.txt")
    (tmp_path / "loop.txt").symlink_to("pool.txt")
    (tmp_path / "pool.txt").symlink_to("loop.txt")
    (tmp_path / "gone.txt").symlink_to("nothing.txt")
    (tmp_path / "sub" / "up").symlink_to("..")
    assert read(tmp_path) == (["sub/a.txt"], ["gone.txt", "loop.txt", "pool.txt", "sub/up"])
    for name, message in (("loop.txt", "leads back to itself; remove"), ("gone.txt", "not there; remove")):
        with pytest.raises(InputError, match=message):
            list(files.read_paths([tmp_path / name]))


def test_a_file_that_vanishes_is_skipped(tmp_path: Path) -> None:
    files_in(tmp_path, "a.txt", "b.txt", "c.txt")
    skipped: list[files.Skipped] = []
    found = []
    for d in files.read_paths([tmp_path], skipped.append):
        found.append(d.text)
        (tmp_path / "b.txt").unlink(missing_ok=True)
    assert found == ["a.txt", "c.txt"]
    assert [s.path for s in skipped] == [str(tmp_path / "b.txt")]
    assert "moved or deleted: run again" in skipped[0].reason


def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    assert read(tmp_path) == ([], ["a.txt"])


def test_many_files_are_not_held(tmp_path: Path) -> None:
    """In a process of its own: beside a suite's large heap Python collects garbage seldom, and it would count."""
    for i in range(2000):
        (tmp_path / f"{i:05}.txt").write_text(f"{i} " * 500)
    code = (
        "import sys, tracemalloc; from resift import files; tracemalloc.start();"
        "print(sum(1 for _ in files.read_paths(sys.argv[1:])), tracemalloc.get_traced_memory()[1])"
    )
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True).stdout
    passages, peak = map(int, out.split())
    assert passages >= 2000 and peak < 1_500_000  # of 4.4 MB of text; 0.4 MB where this was written


def test_formats_are_imported_when_they_are_met(corpus: Path) -> None:
    code = (
        "import sys; from resift import files; list(files.read_paths(sys.argv[1:]));"
        "print(sorted({'pypdf', 'pathspec', 'charset_normalizer', 'zipfile', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code, str(corpus)], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_skip_has_a_kind(tmp_path: Path) -> None:
    files_in(tmp_path, "a.txt", "image.png", "program")
    (tmp_path / "program").write_bytes(b"\x7fELF\x00\x01")
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text": ')
    (tmp_path / "damaged.txt.gz").write_bytes(b"\x1f\x8b\x08 no gzip")
    (tmp_path / "gone.txt").symlink_to("nothing.txt")
    (tmp_path / "here").symlink_to(".")
    os.mkfifo(tmp_path / "pipe.txt")
    skipped: list[files.Skipped] = []
    list(files.read_paths([tmp_path], skipped.append))
    kinds = {Path(s.path).name: s.kind for s in skipped}
    assert kinds == {
        "broken.jsonl": files.Skip.CONTENT,
        "damaged.txt.gz": files.Skip.CONTENT,
        "gone.txt": files.Skip.UNREADABLE,
        "here": files.Skip.LINK,
        "image.png": files.Skip.TYPE,
        "pipe.txt": files.Skip.DEVICE,
        "program": files.Skip.TYPE,
    }
