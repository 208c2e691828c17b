"""Folders that are written whole or not at all."""

from pathlib import Path

import pytest

from resift import atomic


def filled(path: Path, text: str) -> None:
    with atomic.folder(path) as beside:
        (beside / "file").write_text(text)
        assert beside.parent == path.resolve().parent and beside != path


def test_a_folder_takes_the_place_of_another(tmp_path: Path) -> None:
    for text in ("first", "second"):
        filled(tmp_path / "model", text)
        assert (tmp_path / "model" / "file").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    filled(tmp_path / "model", "first")
    with pytest.raises(RuntimeError), atomic.folder(tmp_path / "model") as beside:
        (beside / "file").write_text("second")
        raise RuntimeError
    assert (tmp_path / "model" / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_can_not_be_moved_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "model", "first")
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if (path / "file").read_text() == "second":
            raise OSError("the disk is full")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="full"):
        filled(tmp_path / "model", "second")
    assert (tmp_path / "model" / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    filled(tmp_path / "model", "first")
    (tmp_path / "link").symlink_to("model")
    filled(tmp_path / "link", "second")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "model" / "file").read_text() == "second"
