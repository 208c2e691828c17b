"""Models that could meet a user's needs, by what contracts and the registry say; each refusal has its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from resift.models.families import FAMILIES
from resift.models.hub import cached
from resift.models.registry import MANY, CheckpointRow, bundled_row, row_of, rows
from resift.score.load import BUNDLED, bundled_models, recognise_reranker

WEIGHTS = (".safetensors", ".onnx", ".onnx_data", ".bin", ".pt")
_F32 = 4  # bytes of a number


@dataclass(frozen=True, slots=True)
class Needs:
    """What a reranker has to meet.

    Attributes:
        languages: ISO 639-1 codes; it has to read them all.
        commercial: whether its licence has to allow commercial use.
        max_tokens: the least window; 0: any.
        ms: the most milliseconds per query, of first stage and model, for 95 % of the queries; None: any.
        depth: candidates per query that it scores.
        memory: the most bytes of its weights; None: any.
        models: folders, bundled names or hub ids that take part in any case.

    """

    languages: tuple[str, ...] = ()
    commercial: bool = False
    max_tokens: int = 0
    ms: float | None = None
    depth: int = 50
    memory: int | None = None
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCandidate:
    """A model, where it is, and why it can't be taken.

    Attributes:
        row: what is known of it; its id names it.
        folder: where its files are; None: nowhere on this machine. There may be a tokenizer alone.
        weights: whether its weights are there too, so that it can be measured.
        named: whether the user named it.
        bundled: whether it ships with the package.
        reasons: what it does not meet; empty: nothing speaks against it.

    """

    row: CheckpointRow
    folder: Path | None
    weights: bool
    named: bool = False
    bundled: bool = False
    reasons: tuple[str, ...] = ()

    @property
    def weight_bytes(self) -> int | None:
        """The size of the weights as they are stored, or of 4 bytes a number; None where neither is known."""
        if self.folder is not None and self.weights:
            sizes = [p.stat().st_size for p in self.folder.rglob("*") if p.suffix in WEIGHTS]
            return sum(sizes)
        return self.row.parameters * _F32 if self.row.parameters else None


def candidates(needs: Needs) -> list[ModelCandidate]:
    """All rerankers of registry and package, and those that the user named; reasons say what they don't meet.

    Raises:
        ModelError: a model that was named is no reranker, or is damaged.

    """
    named = [_named(name) for name in needs.models]
    known = {candidate.row.id for candidate in named}
    bundled = [ModelCandidate(bundled_row(c), BUNDLED / c.name, True, bundled=True) for c in bundled_models()]
    others = [_of_registry(row) for row in rows().values()]
    rerankers = [c for c in (*bundled, *others) if _may_rerank(c.row) and c.row.id not in known]
    return [replace(c, reasons=tuple(_reasons(c, needs))) for c in (*named, *rerankers)]


def _may_rerank(row: CheckpointRow) -> bool:
    """Whether the family reranks, or can't be loaded yet and is none of embedders."""
    family = FAMILIES[row.family]
    return family.reranks or not family.embeds


def _named(name: str) -> ModelCandidate:
    """A model that the user named; its row is the registry's, or what its own contract says."""
    folder, contract = recognise_reranker(name)
    row = row_of(name, folder) or bundled_row(contract)
    return ModelCandidate(replace(row, id=name), folder.path, True, named=True, bundled=folder.path.parent == BUNDLED)


def _of_registry(row: CheckpointRow) -> ModelCandidate:
    folder = cached(row.id) if row.supported else None
    return ModelCandidate(row, folder, folder is not None and any(p.suffix in WEIGHTS for p in folder.rglob("*")))


def _reasons(candidate: ModelCandidate, needs: Needs) -> list[str]:
    """What the model does not meet; a named one need not state its languages."""
    row, reasons = candidate.row, []
    if not row.supported:
        reasons.append(f"family {row.family}: not loaded yet")
    unread = [] if MANY in row.languages or (candidate.named and not row.languages) else list(needs.languages)
    if missing := [code for code in unread if code not in row.languages]:
        reasons.append(f"does not name {', '.join(missing)}")
    if needs.commercial and row.commercial != "yes" and not (candidate.named and row.commercial == "unknown"):
        reasons.append(f"licence {row.license}: commercial use {row.commercial}")
    if needs.max_tokens and row.max_tokens != 0 and (row.max_tokens or 0) < needs.max_tokens:
        reasons.append(f"window {row.max_tokens or 'unknown'}")
    size = candidate.weight_bytes
    if needs.memory is not None and (size is None or size > needs.memory):
        reasons.append("weights of unknown size" if size is None else f"weights {size / 1e6:.0f} MB")
    return reasons
