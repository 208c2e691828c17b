"""The table of known checkpoints, `registry.toml`: facts about each one, and where each fact comes from."""

from __future__ import annotations

import tomllib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

from resift.errors import BrokenModel
from resift.models.contract import Contract
from resift.models.families import FAMILIES, loadable
from resift.models.folder import ModelFolder
from resift.models.inputs import EmbedderInput, EncoderInput, Input, Truncation
from resift.models.published import Benchmark, Figure, PublishedScore, benchmarks, figures, published_scores
from resift.types import ScoreKind

UNVERIFIED = "unverified"
MANY = "multi"  # stands among languages where the owner names many and no list is known

Commercial = Literal["yes", "no", "unknown"]
# What a score can be: a ScoreKind, or one that belongs to families that can't be loaded yet.
KINDS = (*(kind.value for kind in ScoreKind), "log_odds", "log_likelihood", "pair_votes", "rank_only")


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """What is known of one checkpoint; a fact of None or "unknown" is not known.

    Attributes:
        id: on the model hub, owner/name.
        architecture: model_type of its config.json.
        kind: what its score is; a superset of ScoreKind, for families that can't be loaded yet.
        labels: outputs of the classifier.
        max_tokens: the window; 0: any length.
        languages: ISO 639-1 codes; "multi" for many that are not listed.
        commercial: whether the licence allows commercial use.
        query_prefix: text before a query; document_prefix: before a document.
        segmentation: the language whose words must be joined by "_" beforehand.
        figures: results in benchmarks.
        golden: scores that were published of it.
        source: where each fact comes from; the entry `facts` holds for those that have none of their own.

    """

    id: str
    family: str
    architecture: str
    kind: str
    source: Mapping[str, str] = field(hash=False)
    labels: int | None = None
    truncation: Truncation | None = None
    max_tokens: int | None = None
    languages: tuple[str, ...] = ()
    parameters: int | None = None
    license: str = "unknown"
    commercial: Commercial = "unknown"
    pooling: str = ""
    dims: int | None = None
    query_prefix: str = ""
    document_prefix: str = ""
    segmentation: str = ""
    note: str = ""
    figures: tuple[Figure, ...] = ()
    golden: tuple[PublishedScore, ...] = ()

    @property
    def supported(self) -> bool:
        """Whether Resift loads models of this family."""
        return FAMILIES[self.family].input is not None

    def verified(self, fact: str) -> bool:
        """Whether a fact comes from its owner or from source code, not from memory."""
        return not self.source.get(fact, self.source["facts"]).startswith(UNVERIFIED)


@cache
def rows() -> Mapping[str, CheckpointRow]:
    """All rows by id."""
    return _rows_of(_entries())


@cache
def _entries() -> Mapping[str, Any]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def parse(text: str) -> dict[str, CheckpointRow]:
    """Read and check a table.

    Raises:
        ValueError: an entry that is missing, unknown or of a wrong type or value; or two rows of one id.

    """
    return _rows_of(tomllib.loads(text))


def _rows_of(entries: Mapping[str, Any]) -> dict[str, CheckpointRow]:
    table: dict[str, CheckpointRow] = {}
    known = benchmarks(entries.get("benchmark", ()))
    texts = {entry["id"]: entry for entry in entries.get("texts", ())}
    for value in entries["model"]:
        row = _row(value, known, texts)
        if row.id in table:
            raise ValueError(f"{row.id} has two rows")
        table[row.id] = row
    return table


def _row(
    value: dict[str, Any], known: Mapping[str, Benchmark], texts: Mapping[str, Mapping[str, Any]]
) -> CheckpointRow:
    name = value.get("id", "?")
    names = {f.name for f in fields(CheckpointRow)}
    if wrong := set(value) - names:
        raise ValueError(f"{name}: unknown entries {sorted(wrong)}")
    needed = ("id", "family", "architecture", "kind", "max_tokens", "languages", "parameters", "license", "commercial")
    if missing := [n for n in (*needed, "source") if n not in value]:
        raise ValueError(f"{name}: no {', '.join(missing)}")
    facts = {k: v for k, v in value.items() if v != "unknown" or k in ("architecture", "license", "commercial")}
    try:
        numbers_of_others = {
            "figures": figures(value.get("figures", {}), known),
            "golden": published_scores(value["golden"], texts) if "golden" in value else (),
        }
    except (KeyError, ValueError) as error:
        raise ValueError(f"{name}: figures or golden: {error}") from error
    row = CheckpointRow(**{**facts, "languages": tuple(facts.get("languages", ())), **numbers_of_others})
    numbers = (row.labels, row.max_tokens, row.parameters, row.dims)
    allowed = (
        ("id", row.id.count("/") == 1),
        ("family", row.family in FAMILIES),
        ("kind", row.kind in KINDS),
        ("truncation", row.truncation in (None, *get_args(Truncation))),
        ("commercial", row.commercial in get_args(Commercial)),
        ("languages", all(x == MANY or (len(x) == 2 and x.islower()) for x in row.languages)),
        ("a number", all(n is None or (isinstance(n, int) and n >= 0) for n in numbers)),
        ("source", "facts" in row.source and set(row.source) <= names | {"facts"} and all(row.source.values())),
    )
    if bad := [entry for entry, good in allowed if not good]:
        raise ValueError(f"{name}: {', '.join(bad)} can't be what it says")
    return row


def bundled_row(contract: Contract) -> CheckpointRow:
    """A model that ships with the package, as a row; its id is its name."""
    measured = _entries()["bundled"].get(contract.name, {})
    return CheckpointRow(
        contract.name,
        contract.family,
        "unknown",
        contract.kind.value,
        {"facts": "its contract.json"},
        max_tokens=contract.max_tokens,
        languages=contract.languages,
        parameters=contract.parameters,
        license=contract.license,
        commercial="yes" if contract.license.lower() in _FREE else "unknown",
        note=contract.description,
        figures=figures(measured, benchmarks(_entries()["benchmark"])),
    )


_FREE = ("apache-2.0", "mit")


def select(
    among: Iterable[CheckpointRow], language: str = "", license: str = "", max_tokens: int = 0, family: str = ""
) -> list[CheckpointRow]:
    """Rows that meet every condition; an unknown fact meets none.

    Args:
        among: where to look.
        language: an ISO 639-1 code; rows of many languages that are not listed are kept.
        license: "commercial" for all that allow it, else a licence by name, in any case.
        max_tokens: the least window.
        family: one of FAMILIES.

    """
    language = language.lower()

    def fits(row: CheckpointRow) -> bool:
        reads = not language or language in row.languages or MANY in row.languages
        may = row.commercial == "yes" if license == "commercial" else license.lower() in ("", row.license.lower())
        window = not max_tokens or row.max_tokens == 0 or (row.max_tokens or 0) >= max_tokens
        return reads and may and window and family in ("", row.family)

    return [row for row in among if fits(row)]


def reader_of(languages: Iterable[str], family: str = "encoder") -> str:
    """The largest model of a family that reads these languages and may be used commercially; one of many for "".

    Among equals the first of the table.
    """
    able = [row for row in rows().values() if row.family == family and not row.segmentation]
    for language in languages:
        able = select(able, language or MANY, "commercial")
    return max(able, key=lambda row: row.parameters or 0).id if able else ""


def row_of(name: str, folder: ModelFolder | None = None) -> CheckpointRow | None:
    """The row of a model: by the hub id that the caller gave, or by the id under which the hub's cache keeps a folder.

    A folder's `_name_or_path` does not count: fine-tuning leaves the id of the base model there.
    """
    if name in rows():
        return rows()[name]
    parts = folder.path.resolve().parts if folder is not None else ()
    for entry, below in zip(parts, parts[1:], strict=False):  # …/models--owner--name/snapshots/<commit>
        if below == "snapshots" and entry.startswith("models--"):
            return rows().get(entry.removeprefix("models--").replace("--", "/", 1))
    return None


def pooled_by_row(row: CheckpointRow | None, folder: ModelFolder) -> Contract | None:
    """The contract of a bare encoder of which only the table knows that it is an embedder, and how it pools.

    None for every other folder: one that states its contract or its modules is believed.
    """
    states = folder.has_contract or folder.modules is not None or not folder.config
    if row is None or row.family != "embedder" or not row.pooling or states:
        return None
    limit = folder.least_limit
    return Contract(folder.name, "embedder", ScoreKind.COSINE, limit, limit, EmbedderInput(pooling=(row.pooling,)))


def refuse_unsupported(row: CheckpointRow) -> None:
    """Refuse a family that can't be loaded yet, before anything is fetched.

    Raises:
        UnknownFamily: it is one.

    """
    loadable(row.family, row.id)


def with_row(contract: Contract, name: str, folder: ModelFolder) -> Contract:
    """A folder's contract, completed by the model's row; one that the folder states itself is taken as it is.

    Raises:
        UnknownFamily: the row is of a family that can't be loaded yet.
        BrokenModel: see `applied`.

    """
    row = row_of(name, folder)
    if row is None or folder.has_contract:
        return contract
    refuse_unsupported(row)
    return applied(contract, row, folder.config)


def applied(contract: Contract, row: CheckpointRow, config: Mapping[str, Any]) -> Contract:
    """A contract that was derived from the files, with what only the table knows.

    Raises:
        BrokenModel: the table and the files disagree on a verified fact; on others the files win, with a warning.

    """
    for fact, table, files in _disagreements(contract, row, config):
        message = f"{row.id}: the table of models says {fact} {table}, the files say {files}"
        if row.verified(fact):
            raise BrokenModel(f"{message}; fetch the model again, or write a contract.json that states what is right")
        warnings.warn(f"{message}; the files are believed", stacklevel=2)
        row = replace(row, **cast("dict[str, Any]", {fact: None}))
    narrower = (
        row.max_tokens and row.family == "encoder"
    )  # the files state what the model can read, the row what it reads well
    window = min(row.max_tokens or 0, contract.max_tokens) if narrower else contract.max_tokens
    return replace(
        contract,
        name=row.id,
        max_tokens=window,
        window_tokens=window if contract.window_tokens == contract.max_tokens else contract.window_tokens,
        input=_completed(contract.input, row),
        languages=tuple(x for x in row.languages if x != MANY) or contract.languages,
        license=contract.license if row.license == "unknown" else row.license,
        parameters=row.parameters or contract.parameters,
    )


def _completed(record: Input, row: CheckpointRow) -> Input:
    """An input record with what the table knows of such inputs."""
    if isinstance(record, EncoderInput):
        truncation = row.truncation or record.truncation
        return replace(record, truncation=truncation, segmenter=row.segmentation or record.segmenter)
    if isinstance(record, EmbedderInput):
        return replace(
            record,
            query_prefix=row.query_prefix or record.query_prefix,
            document_prefix=row.document_prefix or record.document_prefix,
            segmenter=row.segmentation or record.segmenter,
        )
    return record


def _disagreements(
    contract: Contract, row: CheckpointRow, config: Mapping[str, Any]
) -> Sequence[tuple[str, object, object]]:
    """(fact, the table's value, the files' value) where both are known and differ."""
    differences: list[tuple[str, object, object]] = []

    def compare(fact: str, table: object, files: object) -> None:
        if files is not None and table not in (None, "unknown", files):
            differences.append((fact, table, files))

    compare("family", row.family, contract.family)
    compare("architecture", row.architecture, config.get("model_type"))
    if row.family == "encoder":
        compare("kind", row.kind, contract.kind.value.removesuffix("_sum"))  # the table tells no sum from a mean
        compare("labels", row.labels, len(config["id2label"]) if config.get("id2label") else None)
    positions = config.get("max_position_embeddings")
    if row.max_tokens and isinstance(positions, int) and row.max_tokens > positions:
        differences.append(("max_tokens", row.max_tokens, positions))
    return differences
