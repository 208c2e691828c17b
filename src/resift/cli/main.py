"""`resift`: the commands, and the one table that turns errors into exit codes."""

from __future__ import annotations

import sys
import warnings

import typer

from resift.cli import (
    bench,
    calibrate,
    choose,
    doctor,
    evaluate,
    export,
    index,
    judge,
    mine,
    models,
    report,
    rerank,
    search,
    serve,
    streams,
    train,
    when,
    worth_it,
)
from resift.errors import InputError, MissingExtra, ModelError, ResiftError, ScoreError
from resift.machine import cpu_level

# Exit codes; README and docs/cli.md show this table.
EXIT_CODES: dict[type[BaseException], int] = {
    InputError: 3,  # the query, a path or a line can't be used
    ModelError: 4,  # the model can't be used
    ScoreError: 5,  # the model's scores can't be used
    MissingExtra: 6,  # an optional dependency is not installed
    ResiftError: 1,
}

app = typer.Typer(
    help="Search files and rerank what a first search found.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("search")(search.search)
app.command("index")(index.index)
app.command("rerank")(rerank.rerank)
app.command("serve")(serve.serve)
app.command("models")(models.models)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(report.report)
app.command("worth-it")(worth_it.worth_it)
app.command("when")(when.when)
app.command("choose")(choose.choose)
app.command("judge")(judge.judge)
app.command("mine")(mine.mine)
app.command("bench")(bench.bench)
app.command("calibrate")(calibrate.calibrate)
app.command("doctor")(doctor.doctor)
app.command("export")(export.export)
app.add_typer(train.app, name="train")


def _version(value: bool) -> None:
    if value:
        from resift import __version__

        typer.echo(f"resift {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    if not {"-h", "--help"}.intersection(sys.argv):
        cpu_level()  # a level that is none is refused before a command begins, and not blamed on a model


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Resift's own warnings as one sentence; other kinds, such as deprecations, with their place in the code."""
    return (
        f"resift: {message}\n" if category is UserWarning else f"{filename}:{lineno}: {category.__name__}: {message}\n"
    )


def run() -> None:
    """Run a command; an error that Resift raises on purpose is one sentence on stderr and its exit code."""
    streams.prepare()
    warnings.formatwarning = _one_line
    try:
        _run()
    except BrokenPipeError:
        sys.exit(1)
    except ResiftError as error:
        typer.echo(f"resift: {error}", err=True)
        sys.exit(next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))


def _run() -> None:
    try:
        app()
    except OSError as error:
        if "--install-completion" not in sys.argv:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise InputError(
            f"can't install completion ({where}{error.strerror or error}); "
            "resift --show-completion prints it, to be put where your shell looks"
        ) from error
    finally:
        sys.stdout.flush()  # here, and not when Python ends, so that an error of stdout is reported


if __name__ == "__main__":
    run()
