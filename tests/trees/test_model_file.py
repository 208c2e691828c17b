"""Where an export finds trees and their features' names."""

from pathlib import Path

import pytest

from resift.errors import BrokenModel, InputError, NotAModel, ResiftError
from resift.trees import read_model
from tests.trees.models import NAMES, boosters, save


def message(kind: type[ResiftError], path: Path, names: Path | None = None) -> str:
    with pytest.raises(kind) as caught:
        read_model(path, names)
    assert type(caught.value) is kind and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["lightgbm absent", "xgboost absent"])
def test_a_folder_and_its_file_are_the_same_model(name: str, tmp_path: Path) -> None:
    file = save(boosters()[name], tmp_path)
    for path in (tmp_path, file):
        ensemble = read_model(path)
        assert ensemble.features == NAMES and len(ensemble.trees) == 20 and ensemble.library == name.split()[0]


def test_names_of_the_user_replace_those_of_the_model(tmp_path: Path) -> None:
    file, names = save(boosters()["xgboost absent"], tmp_path), tmp_path / "names.txt"
    names.write_text("\n a \nb\n\nc d\né\n", "utf-8")
    assert read_model(file, names).features == ("a", "b", "c d", "é")
    names.write_text("a\nb\n")
    assert "has 2 names and the trees read 4 features; write one a line" in message(InputError, file, names)
    names.write_text("a\nb\na\nc\n")
    assert "names the feature 'a' twice" in message(InputError, file, names)
    names.write_bytes(b"\xff\xfe")
    assert "is no UTF-8 text" in message(InputError, file, names)
    assert "can't read" in message(InputError, file, tmp_path / "none.txt")


@pytest.mark.parametrize("name", ["lightgbm complete", "xgboost complete"])
def test_features_without_names_are_asked_for(name: str, tmp_path: Path) -> None:
    file = save(boosters()[name], tmp_path)
    text = file.read_text("utf-8")
    for i, column in enumerate(NAMES):
        text = text.replace(column, f"{'Column_' if name[0] == 'l' else 'f'}{i}")
    file.write_text(text, "utf-8")
    assert "has no names for its features; pass --features FILE" in message(InputError, tmp_path)
    names = tmp_path / "names.txt"
    names.write_text("\n".join(NAMES))
    assert read_model(tmp_path, names).features == NAMES


def test_an_xgboost_model_that_has_no_names_at_all(tmp_path: Path) -> None:
    file = save(boosters()["xgboost complete"], tmp_path)
    listed = '"feature_names":["bm25(title)","score(bm25)","number(price)","z(colbert)"]'
    text = file.read_text("utf-8")
    assert listed in text
    file.write_text(text.replace(listed, '"feature_names":[]'), "utf-8")
    assert "has no names for its features" in message(InputError, tmp_path)


def test_the_features_of_a_folder_are_as_many_as_its_columns(tmp_path: Path) -> None:
    save(boosters()["lightgbm complete"], tmp_path)
    rows = '[[feature]]\nname = "coverage"\nversion = 1\n'
    features = tmp_path / "features.toml"
    features.write_text("schema = 1\n" + rows * 4)
    assert read_model(tmp_path).width == 4
    features.write_text("schema = 1\n" + rows * 3)
    assert "lists 3 features and the trees read 4; train the model again" in message(BrokenModel, tmp_path)
    features.write_text("schema = 1\n")
    assert "lists no features" in message(BrokenModel, tmp_path)
    features.write_text("schema =")
    assert "is no TOML" in message(BrokenModel, tmp_path)


def test_what_is_no_model(tmp_path: Path) -> None:
    assert "no such file or folder" in message(NotAModel, tmp_path / "none")
    assert "holds no trees: neither model.txt nor model.json; name the model's file" in message(NotAModel, tmp_path)
    file = save(boosters()["lightgbm complete"], tmp_path)
    save(boosters()["xgboost complete"], tmp_path)
    assert "holds both model.txt and model.json" in message(NotAModel, tmp_path)
    file.write_bytes(b"\x7b\x4c\xff\x00")
    assert "is no UTF-8 text; a binary model of XGBoost (.ubj) is saved anew as model.json" in message(
        BrokenModel, file
    )
    file.write_text("")
    assert "is no model file of LightGBM" in message(BrokenModel, file)
