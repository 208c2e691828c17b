"""Flags over environment over file; what is not understood is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from resift.errors import InputError
from resift.serve.settings import DEFAULTS, Settings, read_settings


def test_flags_win_over_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "resift.toml"
    file.write_text('host = "0.0.0.0"\nport = 1\nrate_limit = 5\nmodels = ["a", "b"]\n')
    environment = {"RESIFT_PORT": "2", "RESIFT_RATE_LIMIT": "6", "RESIFT_API_KEYS": "x, y", "RESIFT_CACHE": "/tmp"}
    found = read_settings({"port": 3, "host": None}, environment, file)
    assert (found.host, found.port, found.rate_limit, found.models) == ("0.0.0.0", 3, 6.0, ("a", "b"))
    assert found.api_keys == ("x", "y")


def test_the_settings_in_the_docs_are_settings(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    file = tmp_path / "resift.toml"
    file.write_text(page.split("```toml\n")[1].split("```")[0])
    shown = read_settings({}, {}, file)
    assert replace(shown, models=(), on_error=DEFAULTS.on_error) == DEFAULTS


def test_only_this_machine_may_ask_by_default() -> None:
    assert DEFAULTS.host == "127.0.0.1"
    assert DEFAULTS.cors_origins == ()


@pytest.mark.parametrize("line", ["prot = 1", 'port = "1"', "models = 3", "offline = 1", "port =", "port = true"])
def test_a_mistake_in_the_file_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "resift.toml"
    file.write_text(line)
    with pytest.raises(InputError, match=r"resift\.toml"):
        read_settings({}, {}, file)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "x"),
        ("OFFLINE", "maybe"),
        ("ON_ERROR", "ignore"),
        ("STALL_S", "-1"),
        ("PORT", ""),
        ("STALL_S", "inf"),
        ("RATE_LIMIT", "nan"),
        ("QUEUE_SECONDS", "-inf"),
    ],
)
def test_a_mistake_in_the_environment_is_named(name: str, text: str) -> None:
    with pytest.raises(InputError, match=name.lower() + "|" + name):
        read_settings({}, {f"RESIFT_{name}": text}, None)


def test_keys_come_from_the_setting_and_the_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# team a\nalpha\n\n beta \n")
    assert Settings(api_keys=("gamma",), api_keys_file=str(file)).allowed_keys() == ("gamma", "alpha", "beta")
    file.write_text("# nobody\n")
    with pytest.raises(InputError, match="no API key"):
        Settings(api_keys_file=str(file)).allowed_keys()
    with pytest.raises(InputError, match="can't be read"):
        Settings(api_keys_file=str(tmp_path / "missing")).allowed_keys()


def test_home_is_meant_by_a_tilde_in_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "keys").write_text("secret\n")
    assert read_settings({}, {"RESIFT_API_KEYS_FILE": "~/keys"}, None).allowed_keys() == ("secret",)
