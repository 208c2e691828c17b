"""The settings of a server, each written once, from flags, environment variables and a file."""

from __future__ import annotations

import math
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from resift.arguments import nearest
from resift.errors import InputError
from resift.machine import parse_size
from resift.pipeline import boosts
from resift.serve.service import OnError

ServedPrecision = Literal["auto", "f32", "bf16", "int8"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Which models a server has, where it listens, and its limits.

    Attributes:
        models: bundled names, folders or hub ids; the first is the default one. None: the bundled ones, by language.
        index: folder of an index for /api/search; none when empty.
        host: address to listen on; by default only this machine can reach it.
        port: 0 takes a free one.
        precision: "auto", "f32", "bf16" or "int8".
        calibrated: scores are probabilities of relevance; every model that reranks needs its calibration.
        when: file of a rule of `resift when`, which searches of the index follow; none when empty.
        boost: what of the passages' metadata counts in searches of the index, such as
            'boost("date", half_life="90d")'; several are joined by ">>".
        pipeline: text, file or folder of a pipeline, whose retrievers, blend and learned stages searches take; none
            when empty.
        offline: never ask the model hub.
        max_memory: of the process, such as "6GiB"; empty: no limit.
        queue_tokens: how many may wait; 0: as many as the machine computes in `queue_seconds` at its present rate.
        queue_seconds: see `queue_tokens`.
        deadline_ms: of requests without one of their own; 0: none.
        stall_s: a slice, or the code of a stage between two asks, that takes longer counts as hanging.
        on_error: what is done when a model fails; see RerankRequest.
        fallback: models asked in turn with on_error = "next_stage"; they are served too.
        breaker_failures: after so many failures in a row a model is left alone.
        breaker_rest_s: for how long.
        max_documents: per request.
        max_document_chars: per document.
        max_query_chars: per query.
        max_body_bytes: per request.
        api_keys: a request needs one of these; none: every request is let in.
        api_keys_file: a key per line; empty lines and lines that begin with # are no keys.
        rate_limit: requests a minute and key (address, without keys); 0: no limit.
        cors_origins: sites whose pages may send requests; none by default.
        grace_s: seconds that accepted requests have after SIGTERM.
        log_level: "debug", "info", "warning" or "error".

    """

    models: tuple[str, ...] = ()
    index: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    precision: ServedPrecision = "auto"
    calibrated: bool = False
    when: str = ""
    boost: str = ""
    pipeline: str = ""
    offline: bool = False
    max_memory: str = ""
    queue_tokens: int = 0
    queue_seconds: float = 0.9
    deadline_ms: float = 0.0
    stall_s: float = 120.0
    on_error: OnError = "raise"
    fallback: tuple[str, ...] = ()
    breaker_failures: int = 5
    breaker_rest_s: float = 10.0
    max_documents: int = 10_000
    max_document_chars: int = 200_000
    max_query_chars: int = 20_000
    max_body_bytes: int = 32_000_000
    api_keys: tuple[str, ...] = ()
    api_keys_file: str = ""
    rate_limit: float = 0.0
    cors_origins: tuple[str, ...] = ()
    grace_s: float = 60.0
    log_level: LogLevel = "info"

    def __post_init__(self) -> None:
        for name, kind in (
            ("precision", ServedPrecision),
            ("on_error", OnError),
            ("log_level", LogLevel),
        ):
            if getattr(self, name) not in get_args(kind):
                raise InputError(f"{name} is one of {', '.join(get_args(kind))}; not {getattr(self, name)!r}")
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, (int, float)) and not (math.isfinite(value) and value >= 0):
                raise InputError(f"{f.name} is a finite number, 0 or more; not {value}")
        if not self.host.strip():
            raise InputError("host is empty, which would be every address; give 0.0.0.0 where that is meant")
        boosts(self.boost)
        if self.max_memory:
            parse_size(self.max_memory)

    def allowed_keys(self) -> tuple[str, ...]:
        """All API keys, of the setting and of the file.

        Raises:
            InputError: the file can't be read or holds no key.

        """
        if not self.api_keys_file:
            return self.api_keys
        try:
            lines = [
                line.strip() for line in Path(os.path.expanduser(self.api_keys_file)).read_text("utf-8").splitlines()
            ]
        except (OSError, ValueError) as error:
            raise InputError(f"the API keys in {self.api_keys_file} can't be read ({error})") from error
        keys = tuple(line for line in lines if line and not line.startswith("#"))
        if not keys:
            raise InputError(f"{self.api_keys_file} holds no API key; write one per line")
        return self.api_keys + keys


DEFAULTS = Settings()


def read_settings(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None) -> Settings:
    """Settings from flags that are not None, before RESIFT_NAME variables, before a TOML file, before the defaults.

    In a variable commas separate the items of a list; an empty variable counts as none, and one of Kubernetes
    (`of_kubernetes`), or of a setting that a flag gives, is not read. TOML has the same names, on the top level.

    Raises:
        InputError: a file that can't be read, a name that is no setting, a value of the wrong type, an empty flag.

    """
    defaults = {f.name: getattr(DEFAULTS, f.name) for f in fields(Settings)}
    settings: dict[str, Any] = {}
    for name, value in _toml(file).items() if file else ():
        if name not in defaults:
            close = nearest(name, list(defaults))
            raise InputError(f"{file}: {name!r} is no setting{close}; there are {', '.join(sorted(defaults))}")
        settings[name] = _typed(value, defaults[name], f"{file}: {name}")
    for name, default in defaults.items():
        variable = f"RESIFT_{name.upper()}"
        if flags.get(name) is None and variable not in of_kubernetes(environment):
            text = environment.get(variable, "").strip()
            settings |= {name: _from_text(text, default, variable)} if text else {}
    for name, value in flags.items():
        if value is None:
            continue
        if value == "" or (isinstance(value, (list, tuple)) and "" in value):
            raise InputError(f"{name} is empty; leave it out, or check the variable that it comes from")
        settings[name] = _typed(value, defaults[name], f"--{name.replace('_', '-')}")
    return Settings(**settings)


def of_kubernetes(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables with names of settings that are none: for a service called resift, Kubernetes sets RESIFT_PORT."""
    text = environment.get("RESIFT_PORT", "")
    return {"RESIFT_PORT": text} if text.startswith(("tcp://", "udp://", "sctp://")) else {}


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"the settings in {file} can't be read ({error})") from error


def _typed(value: Any, default: Any, where: str) -> Any:  # noqa: ANN401 - one of the types of Settings
    """The value as the default's type."""
    if isinstance(default, tuple) and isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is type(default):
        return value
    expected = "a list of texts" if isinstance(default, tuple) else type(default).__name__
    raise InputError(f"{where} must be {expected}; not {value!r}")


def _from_text(text: str, default: Any, where: str) -> Any:  # noqa: ANN401
    """A variable's text as the default's type."""
    if isinstance(default, bool):
        if text.lower() not in ("1", "0", "true", "false", "yes", "no"):
            raise InputError(f"{where} must be true or false; not {text!r}")
        return text.lower() in ("1", "true", "yes")
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        return type(default)(text)
    except ValueError as error:
        raise InputError(f"{where} must be {type(default).__name__}; not {text!r}") from error
