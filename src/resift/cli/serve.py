"""`resift serve [MODEL…]`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from resift.cli import options
from resift.serve.service import OnError
from resift.serve.settings import DEFAULTS, LogLevel, ServedPrecision


def _choices(literal: Any, default: str) -> str:  # noqa: ANN401 - a Literal type
    """The values of a setting, and the default one."""
    return f"{', '.join(get_args(literal))} [{default}]."


_OnError = Annotated[
    str | None,
    typer.Option("--on-error", help=f"When a model fails: {_choices(OnError, DEFAULTS.on_error)}", metavar="WHAT"),
]
_Fallback = Annotated[
    list[str] | None, typer.Option(help="Model to ask when the others fail; may be repeated.", metavar="MODEL")
]
_Tokens = Annotated[int | None, typer.Option(help=f"Tokens that may wait [{DEFAULTS.queue_seconds:g} seconds' worth].")]
_Documents = Annotated[int | None, typer.Option(help=f"Documents per request [{DEFAULTS.max_documents}].")]
_Calibrated = Annotated[
    bool | None, typer.Option("--calibrated", help="Scores are probabilities, as `resift calibrate` fitted them.")
]
_Origins = Annotated[list[str] | None, typer.Option(help="Site whose pages may ask; may be repeated.", metavar="URL")]
_Pipeline = Annotated[
    str | None, typer.Option(help="Text, file or folder of a pipeline, for /api/search.", metavar="PIPELINE")
]


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Bundled names, folders or hub ids; the first is the default. None: by language."),
    ] = None,
    index: Annotated[str | None, typer.Option(help="Folder of an index, for /api/search.")] = None,
    host: Annotated[str | None, typer.Option(help=f"Address to listen on [{DEFAULTS.host}].")] = None,
    port: Annotated[int | None, typer.Option(help=f"Port to listen on; 0 takes a free one [{DEFAULTS.port}].")] = None,
    precision: Annotated[str | None, typer.Option(help=_choices(ServedPrecision, DEFAULTS.precision))] = None,
    calibrated: _Calibrated = None,
    when: Annotated[str | None, typer.Option(help="Rule of `resift when`, for /api/search.", metavar="FILE")] = None,
    boost: options.Boosts = None,
    pipeline: _Pipeline = None,
    on_error: _OnError = None,
    fallback: _Fallback = None,
    deadline_ms: Annotated[float | None, typer.Option(help="Answer by then with what is scored.")] = None,
    queue_tokens: _Tokens = None,
    max_documents: _Documents = None,
    max_memory: Annotated[str | None, typer.Option(help="Ceiling, such as 6GiB.", metavar="SIZE")] = None,
    api_keys_file: Annotated[str | None, typer.Option(help="File with a key per line; else nobody needs one.")] = None,
    rate_limit: Annotated[float | None, typer.Option(help="Requests a minute and key [no limit].")] = None,
    cors_origin: _Origins = None,
    offline: Annotated[bool | None, typer.Option("--offline", help="Never ask the model hub.")] = None,
    log_level: Annotated[str | None, typer.Option(help=_choices(LogLevel, DEFAULTS.log_level))] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with any of the settings.")] = None,
) -> None:
    """Answer rerank requests over HTTP: docs/serving.md. Without names, with the bundled models, by language.

    Flags win over RESIFT_… variables, these over --config. Example: resift serve resift-mini-en --port 8080
    """
    import importlib.util
    import logging
    import os

    from resift.errors import MissingExtra

    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn", "prometheus_client")):
        raise MissingExtra("resift serve", "serve")
    from resift.serve.http.logs import event, to_stderr
    from resift.serve.run import run
    from resift.serve.settings import of_kubernetes, read_settings

    flags = {
        "models": models or None, "index": index, "host": host, "port": port, "precision": precision,
        "calibrated": calibrated, "when": when, "boost": options.joined(boost) or None, "pipeline": pipeline,
        "on_error": on_error, "fallback": fallback or None, "deadline_ms": deadline_ms, "queue_tokens": queue_tokens,
        "max_documents": max_documents, "max_memory": max_memory, "api_keys_file": api_keys_file,
        "rate_limit": rate_limit, "cors_origins": cors_origin or None, "offline": offline, "log_level": log_level,
    }  # fmt: skip
    settings = read_settings(flags, os.environ, config)
    to_stderr(settings.log_level)
    reason = "Kubernetes sets it for a service of this name, unless enableServiceLinks is false"
    for name, value in of_kubernetes(os.environ).items():
        event("variable left aside", logging.WARNING, variable=name, value=value, reason=reason)
    run(settings)
