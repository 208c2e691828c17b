"""Flags over environment over file; what is not understood is refused."""

import re
import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import pytest
from typer.main import get_command

from resift.cli.main import app
from resift.errors import InputError
from resift.serve.service import OnError
from resift.serve.settings import DEFAULTS, LogLevel, ServedPrecision, Settings, of_kubernetes, read_settings


def test_flags_win_over_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "resift.toml"
    file.write_text('host = "0.0.0.0"\nport = 1\nrate_limit = 5\nmodels = ["a", "b"]\n')
    environment = {"RESIFT_PORT": "2", "RESIFT_RATE_LIMIT": "6", "RESIFT_API_KEYS": "x, y", "RESIFT_CACHE": "/tmp"}
    settings = read_settings({"port": 3, "host": None}, environment, file)
    assert (settings.host, settings.port, settings.rate_limit, settings.models) == ("0.0.0.0", 3, 6.0, ("a", "b"))
    assert settings.api_keys == ("x", "y")


def test_the_settings_in_the_docs_are_settings(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    file = tmp_path / "resift.toml"
    file.write_text(page.split("```toml\n")[1].split("```")[0])
    settings = read_settings({}, {}, file)
    assert replace(settings, models=()) == DEFAULTS
    assert tomllib.loads(file.read_text()).keys() == {f.name for f in fields(Settings)}
    assert f"`queue_seconds` ({DEFAULTS.queue_seconds:g})" in page
    numerals = {5: "five", 10: "ten"}
    assert f"fails {numerals[DEFAULTS.breaker_failures]} times in a row" in page
    assert f"left alone for {numerals[int(DEFAULTS.breaker_rest_s)]} seconds" in page


def options() -> dict[str, str]:
    """The options of `resift serve` and their help texts, by the setting that they are for."""
    texts = {p.name: p.help for p in get_command(app).commands["serve"].params}  # type: ignore[attr-defined]
    texts["cors_origins"] = texts.pop("cors_origin")
    return {name: text for name, text in texts.items() if name not in ("config", "help")}


def test_every_option_is_a_setting_with_its_default() -> None:
    defaults = {f.name: getattr(DEFAULTS, f.name) for f in fields(Settings)}
    assert options().keys() <= defaults.keys()
    worded = {"queue_tokens": f"{DEFAULTS.queue_seconds:g} seconds' worth", "rate_limit": "no limit"}
    for name, text in options().items():
        bracket = re.search(r"\[(.+)\]", text)
        if bracket:
            assert bracket[1] == worded.get(name, str(defaults[name])), name
        else:
            assert not defaults[name], name
    for name, kind in (("precision", ServedPrecision), ("log_level", LogLevel), ("on_error", OnError)):
        assert ", ".join(get_args(kind)) in options()[name]


def test_the_options_in_the_docs_are_options() -> None:
    docs = Path(__file__).parents[2] / "docs"
    serve = re.findall(r"`resift serve [^`]*`", (docs / "cli.md").read_text())
    names = set(re.findall(r"--([a-z][a-z-]+)", (docs / "serving.md").read_text() + " ".join(serve)))
    assert names - {"config", "help"} <= {name.replace("_", "-") for name in options()}


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    empty = {f"RESIFT_{f.name.upper()}": "" for f in fields(Settings)}
    assert read_settings({}, empty, None) == read_settings({}, dict.fromkeys(empty, "  "), None) == DEFAULTS
    file = tmp_path / "resift.toml"
    file.write_text("port = 9000")
    assert read_settings({}, empty, file).port == 9000


def test_a_flag_wins_over_a_variable_that_is_no_value() -> None:
    assert read_settings({"port": 0, "stall_s": None}, {"RESIFT_PORT": "x"}, None).port == 0


@pytest.mark.parametrize("value", ["tcp://10.43.1.39:8080", "udp://10.0.0.1:53"])
def test_a_port_of_kubernetes_is_left_aside(value: str, tmp_path: Path) -> None:
    environment = {"RESIFT_PORT": value, "RESIFT_SERVICE_HOST": "10.43.1.39", "RESIFT_PORT_8080_TCP": value}
    assert read_settings({}, environment, None) == DEFAULTS
    assert of_kubernetes(environment) == {"RESIFT_PORT": value}
    assert of_kubernetes({"RESIFT_PORT": "8080"}) == of_kubernetes({}) == {}
    file = tmp_path / "resift.toml"
    file.write_text("port = 9000")
    assert read_settings({}, environment, file).port == 9000


@pytest.mark.parametrize("flags", [{"host": ""}, {"index": ""}, {"models": [""]}, {"models": ["a", ""]}])
def test_an_empty_flag_is_refused(flags: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(flags))} is empty"):
        read_settings(flags, {}, None)


def test_an_empty_host_is_not_every_address() -> None:
    with pytest.raises(InputError, match=r"host is empty.*0\.0\.0\.0"):
        Settings(host="")


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
