"""What is checked of a model's files at every load, without reading its weights."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from resift.errors import BrokenModel
from resift.models.config_entries import whole
from resift.models.folder import ModelFolder
from resift.models.inputs import Input, LateInput
from resift.models.tokenizer import TOKENIZER, Tokens

REPORT = "agreement.json"  # how an exported folder compares with its source
_SPARE = 1024  # rows of embeddings without a token: tables are padded to a multiple of 64 or 128, some by hundreds
SUMS = "SHA256SUMS"  # one "hash  name" per line, as sha256sum writes it


def listed_hashes(folder: ModelFolder) -> dict[str, str]:
    """File name -> SHA-256 of the folder's own list; empty without one.

    Raises:
        BrokenModel: a line that sha256sum does not write, or a name outside the folder.

    """
    if not folder.has(SUMS):
        return {}
    hashes = {}
    for line in folder.content(SUMS).decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name or Path(name).name != name:
            raise BrokenModel(f"{folder.path / SUMS} has a line that sha256sum would not write: {line[:80]!r}")
        hashes[name] = digest
    return hashes


def check_files(folder: ModelFolder) -> None:
    """Every listed file is there.

    Raises:
        BrokenModel: one is not.

    """
    if missing := [name for name in listed_hashes(folder) if not folder.has(name)]:
        raise BrokenModel(f"{folder} lacks {', '.join(missing)}, listed in its {SUMS}; fetch the model again")


def export_report(folder: ModelFolder) -> dict[str, Any]:
    """The report that `resift export` left in a folder; empty without one.

    Raises:
        BrokenModel: it is damaged.

    """
    if not folder.has(REPORT):
        return {}
    try:
        report = json.loads(folder.content(REPORT).decode("utf-8"))
        return {name: report[name] for name in ("weights", "tau", "top10", "passed")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenModel(f"{folder.path / REPORT} is damaged ({error}); export the model again") from error


def check_export(folder: ModelFolder) -> None:
    """Warn of a folder that was exported by force, although its weights order otherwise than its source.

    Raises:
        BrokenModel: the report is damaged.

    """
    report = export_report(folder)
    if report and not report["passed"]:
        warnings.warn(f"{folder}: {changed_order(report)}", stacklevel=2)


def changed_order(report: Mapping[str, Any]) -> str:
    """What to say of an export that missed the bar."""
    return (
        f"its {report['weights']} weights change the order of their source (tau {report['tau']:.3f}, ten best kept "
        f"{report['top10']:.1%}); export it again with --weights fp16 or f32"
    )


def wrong_hashes(folder: ModelFolder) -> list[str]:
    """Names of listed files whose content is not what the list says; reads them whole."""
    return [name for name, digest in listed_hashes(folder).items() if file_hash(folder.path / name) != digest]


def file_hash(path: Path) -> str:
    """SHA-256 in hex."""
    hashed = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hashed.update(block)
    return hashed.hexdigest()


def check_tokens(folder: ModelFolder, tokens: Tokens, rows: int = 0, record: Input | None = None) -> None:
    """The tokenizer gives only ids and segment ids for which the weights have room, and separates a pair's texts.

    Args:
        folder: of the encoder.
        tokens: its tokenizer.
        rows: for this many ids there are embeddings; where it is 0, only the config tells.
        record: of a late-interaction model, names tokens that are put in.

    Raises:
        BrokenModel: it does not: tokenizer and weights are of different models.

    """
    config, path = folder.config, folder.path / "config.json"
    template = tokens.template
    stated = whole(config, "vocab_size", path)
    room = min((n for n in (stated, rows) if n), default=0)
    _check_room(folder, tokens, room, record)
    if tokens.source != TOKENIZER and room - tokens.size > _SPARE:
        raise BrokenModel(
            f"{folder}: {tokens.source} has {tokens.size} tokens, the weights have {room}; the file is cut, or they "
            "are of different models: copy both from one place"
        )
    kinds = whole(config, "type_vocab_size", path)
    if kinds and max(template.segments) >= kinds:
        raise BrokenModel(
            f"{folder}: the tokenizer marks the second text with segment {max(template.segments)}, the weights know "
            f"{kinds}; they are of different models: copy both from one place"
        )
    if not template.middle:
        raise BrokenModel(
            f"{folder}: the tokenizer puts nothing between query and document; save it with its post-processor"
        )


def _check_room(folder: ModelFolder, tokens: Tokens, room: int, record: Input | None) -> None:
    """There is an embedding for every id; `room` is how many there are, 0 where nobody knows."""
    put_in = _inserted(tokens, record) if isinstance(record, LateInput) else {}
    largest = max([tokens.largest_id, *put_in])
    if not room or largest < room:
        return
    message = f"{folder}: the tokenizer gives ids up to {largest}, the weights have {room} tokens"
    added = {i: word for i, word in (tokens.added | put_in).items() if i >= room}
    if largest in added and len(added) > largest - room:
        some = ", ".join(map(repr, list(added.values())[:5]))
        raise BrokenModel(
            f"{message}: {some} was added to the tokenizer, and the embeddings kept their size; call "
            "resize_token_embeddings(len(tokenizer)) and train, or take the tokenizer that the model was trained with"
        )
    raise BrokenModel(f"{message}; they are of different models: copy both from one place")


def _inserted(tokens: Tokens, record: LateInput) -> dict[int, str]:
    """The ids of tokens that a late-interaction model puts into its inputs, and the marker or prefix of each."""
    markers = (record.query_marker, record.document_marker, record.fill if record.expand else "")
    inserted = {i: word for word in markers if word and (i := tokens.id_of(word)) is not None}
    for prefix in (record.query_prefix, record.document_prefix):
        inserted |= dict.fromkeys(tokens.leading(prefix)[0], prefix) if prefix else {}
    return inserted
