"""`resift train`: the group of commands that learn from examples."""

from __future__ import annotations

import typer

from resift.cli import train_ltr, train_neural

app = typer.Typer(
    help="Learn from examples of your own: a folder that loads, explains itself and is served.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.command("ltr")(train_ltr.train_ltr)
app.command("reranker")(train_neural.train_reranker)
app.command("embedder")(train_neural.train_embedder)
app.command("late")(train_neural.train_late)
