"""`resift choose`"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from resift.choose import ModelCandidate, ModelChoice, UserSample
    from resift.evaluate.statistics import Estimate

_WINDOWS = (512, 1024, 8192)  # that the table shows; the JSON has all
_PUBLISHED = 15  # models that are not measured, which the table shows


def choose(
    data: Annotated[
        Path | None, typer.Argument(help="Judged data, as `resift evaluate` reads them.", metavar="[DATA]")
    ] = None,
    queries: Annotated[Path | None, typer.Option(help="Queries without judgements: speed and tokens only.")] = None,
    documents: Annotated[Path | None, typer.Option(help="Documents of these queries.")] = None,
    qrels: Annotated[Path | None, typer.Option(help="Judgements of these queries, TREC or BEIR.")] = None,
    lang: Annotated[str, typer.Option("--lang", help="Languages, such as vi,en; by default the sample's.")] = "",
    commercial: Annotated[bool, typer.Option("--commercial", help="Only licences that allow commercial use.")] = False,
    max_tokens: Annotated[int, typer.Option(min=0, help="Only windows of at least this.")] = 0,
    max_ms: Annotated[float | None, typer.Option(help="The most milliseconds per query, for 95 % of them.")] = None,
    depth: Annotated[int, typer.Option(min=1, help="How many candidates the model scores.")] = 50,
    max_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="The most that its weights may take, such as 500MB.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="A folder, name or hub id that takes part in any case.")
    ] = None,
    retriever: Annotated[str, typer.Option(help="The first stage.")] = "bm25 + dense",
    limit: Annotated[int, typer.Option(min=1, help="Measure on a random sample of so many queries.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (schema: docs/choose.md).")] = False,
) -> None:
    """Recommend a reranker by needs, and measure those whose weights are on this machine on your own texts.

    Example: resift choose my-data --commercial --max-ms 200 --depth 50 --model ./my-model
    """
    from resift.arguments import number
    from resift.choose import Needs
    from resift.choose import choose as choose_model
    from resift.cli.progress import counter
    from resift.errors import InputError
    from resift.machine import parse_size
    from resift.text.language_names import language_code

    if max_ms is not None and not 0 < number(max_ms, "max_ms") < math.inf:
        raise InputError(f"--max-ms takes a time of more than 0 milliseconds; not {max_ms:g}")
    needs = Needs(
        languages=tuple(language_code(name) for name in lang.split(",") if name.strip()),
        commercial=commercial,
        max_tokens=max_tokens,
        ms=max_ms,
        depth=depth,
        memory=None if max_memory is None else parse_size(max_memory),
        models=tuple(model or ()),
    )
    source = _SampleFiles(data, queries, documents, qrels)
    with counter() as count:
        sample = source.sample()
        choice = choose_model(needs, sample and sample.limited(limit, seed), retriever, count)
    if as_json:
        from resift.cli import show

        show.print_json(_as_json(choice))
        return
    from rich.console import Console

    _print(choice, Console(), sample is None)


@dataclass(frozen=True, slots=True)
class _SampleFiles:
    """Where the sample is."""

    data: Path | None
    queries: Path | None
    documents: Path | None
    qrels: Path | None

    def sample(self) -> UserSample | None:
        """The queries and documents; None where none were named."""
        from resift import files
        from resift.choose import UserSample
        from resift.cli.left_out import say_repeated
        from resift.errors import InputError
        from resift.evaluate import DataFiles, read_dataset
        from resift.evaluate.document_store import DocumentStore
        from resift.judge import read_queries

        if self.data is None and self.qrels is None and self.queries is None and self.documents is None:
            return None
        if self.data is not None or self.qrels is not None:
            return UserSample.of(read_dataset(DataFiles(self.data, self.queries, self.documents, self.qrels)))
        if self.queries is None or self.documents is None:
            raise InputError("a sample has queries and documents; name both: --queries FILE --documents FILE")
        store = DocumentStore(files.read_file(self.documents))
        if not len(store):
            raise InputError(f"{self.documents} has no documents; give a corpus with an id and a text on each line")
        file = read_queries(self.queries)
        say_repeated(file.repeated)
        return UserSample(file.queries, store)


def _print(choice: ModelChoice, console: Console, unmeasured: bool) -> None:
    from resift.cli import show
    from resift.cli.models import print_with_figures
    from resift.evaluate.figures import SYNTHETIC
    from resift.models.recommendation import figures_for

    console.print(choice.sentence, style="bold", markup=False, highlight=False, soft_wrap=True)
    if choice.synthetic:
        console.print(SYNTHETIC, style="yellow", markup=False, highlight=False, soft_wrap=True)
    measured = [c for c in choice.candidates if c.row.id in choice.measured]
    if choice.measured:
        console.print("\nMeasured on your sample", style="bold", markup=False, highlight=False)
        headings = ("model", "nDCG@10", "95 %", "gain", "ms p50", "ms p95", "runs on", "weights", "licence", "not met")
        rows = [_first_stage_cells(choice), *(_measured_cells(c, choice) for c in measured)]
        show.print_rows(console, headings, rows)
    if choice.costs:
        console.print("\nTokens of your texts", style="bold", markup=False, highlight=False)
        codes = sorted({code for costs in choice.costs.values() for code in costs.tokens_per_character})
        per = [f"tokens/character {code or 'other'}" for code in codes]
        show.print_rows(
            console, ("model", "window", *per, *(f"over {w}" for w in _WINDOWS)), list(_cost_rows(choice, codes))
        )
    published = [c for c in choice.candidates if c.row.id not in choice.measured]
    if published:
        console.print("\nPublished only", style="bold", markup=False, highlight=False)
        shown = [c.row for c in published[:_PUBLISHED]]
        print_with_figures(console, shown, {row.id: figures_for(row, choice.needs.languages[0]) for row in shown})
    console.print()
    for line in _remarks(choice, len(published), unmeasured):
        console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def _remarks(choice: ModelChoice, published: int, unmeasured: bool) -> Iterator[str]:
    from collections import Counter

    if published > _PUBLISHED:
        yield f"{published - _PUBLISHED} more are published only: --json has them all"
    if published:
        yield "to measure one of them: hf download NAME, where the hub can be reached, then choose again"
    if unmeasured:
        yield "nothing was measured: give queries and documents (--queries, --documents), or judged data"
    reasons = Counter(reason.partition(":")[0] for c in choice.refused for reason in c.reasons[:1])
    if reasons:
        counts = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
        yield f"{len(choice.refused)} models don't meet the needs: {counts}; --json names them"


def _first_stage_cells(choice: ModelChoice) -> list[str]:
    m = choice.measured[""]
    return ["no reranker", *_quality(m.quality), "", f"{m.ms_p50:.1f}", f"{m.ms_p95:.1f}", "", "", "", ""]


def _measured_cells(candidate: ModelCandidate, choice: ModelChoice) -> list[str]:
    m, size = choice.measured[candidate.row.id], candidate.weight_bytes
    gain = f"{m.gain.value:+.4f}" if m.gain else ""
    return [
        candidate.row.id, *_quality(m.quality), gain, f"{m.ms_p50:.1f}", f"{m.ms_p95:.1f}", m.runs_on,
        f"{size / 1e6:.0f} MB" if size else "", candidate.row.license, ", ".join(candidate.reasons),
    ]  # fmt: skip


def _quality(quality: Estimate | None) -> tuple[str, str]:
    return (f"{quality.value:.4f}", f"{quality.low:.4f} … {quality.high:.4f}") if quality else ("", "")


def _cost_rows(choice: ModelChoice, codes: list[str]) -> Iterator[list[str]]:
    for c in choice.candidates:
        if costs := choice.costs.get(c.row.id):
            rates = [
                f"{costs.tokens_per_character[code]:.2f}" if code in costs.tokens_per_character else ""
                for code in codes
            ]
            shares = [f"{costs.over[window]:.0%}" for window in _WINDOWS]
            yield [c.row.id, str(c.row.max_tokens or "any"), *rates, *shares]


def _as_json(choice: ModelChoice) -> dict[str, Any]:
    from dataclasses import asdict

    from resift.evaluate.environment import machine

    measured = {name or "first_stage": _without_none(asdict(m)) for name, m in choice.measured.items()}
    return {
        "schema": 1,
        "kind": "choice",
        "sentence": choice.sentence,
        "recommended": choice.recommended.row.id if choice.recommended else "",
        "needs": _without_none(asdict(choice.needs)),
        "synthetic": choice.synthetic,
        "machine": machine(),
        "first_stage": measured.pop("first_stage", {}),
        "models": [_candidate_as_json(c, choice, measured) for c in choice.candidates],
        "refused": [{"name": c.row.id, "reasons": list(c.reasons)} for c in choice.refused],
    }


def _candidate_as_json(candidate: ModelCandidate, choice: ModelChoice, measured: dict[str, Any]) -> dict[str, Any]:
    from resift.models.recommendation import figures_for

    row, costs = candidate.row, choice.costs.get(candidate.row.id)
    figures = [
        {"measure": f.benchmark.measure, "value": f.value, "on": f.benchmark.on, "source": f.benchmark.source}
        for f in figures_for(row, choice.needs.languages[0])
    ]
    facts = {
        "name": row.id,
        "status": "measured" if row.id in measured else "published only",
        "bundled": candidate.bundled,
        "license": row.license,
        "max_tokens": row.max_tokens,
        "parameters": row.parameters,
        "weight_bytes": candidate.weight_bytes,
        "reasons": list(candidate.reasons),
        "measured": measured.get(row.id),
        "tokens_per_character": dict(costs.tokens_per_character) if costs else None,
        "over_window": {str(window): share for window, share in costs.over.items()} if costs else None,
        "figures": figures or None,
    }
    return _without_none(facts)


def _without_none(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None}
