"""What is checked of a model's files at every load, without reading its weights."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from resift.errors import BrokenModel
from resift.models.config import read_config, whole
from resift.models.input_rules import TokenRules
from resift.models.tokenizer import Tokens

NO_RULES = TokenRules()
REPORT = "agreement.json"  # how an exported folder compares with its source
SUMS = "SHA256SUMS"  # one "hash  name" per line, as sha256sum writes it


def listed_hashes(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 of the folder's own list; empty without one.

    Raises:
        BrokenModel: a line that is none, or a name outside the folder.

    """
    if not (folder / SUMS).exists():
        return {}
    found = {}
    for line in (folder / SUMS).read_text("utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if len(digest) != 64 or not name or Path(name).name != name:
            raise BrokenModel(f"{folder / SUMS} has a line that sha256sum would not write: {line[:80]!r}")
        found[name] = digest
    return found


def check_files(folder: Path) -> None:
    """Every listed file is there.

    Raises:
        BrokenModel: one is not.

    """
    if missing := [name for name in listed_hashes(folder) if not (folder / name).exists()]:
        raise BrokenModel(f"{folder} lacks {', '.join(missing)}, listed in its {SUMS}; fetch the model again")


def export_report(folder: Path) -> dict[str, Any]:
    """The report that `resift export` left in a folder; empty without one.

    Raises:
        BrokenModel: it is damaged.

    """
    if not (folder / REPORT).exists():
        return {}
    try:
        found: dict[str, Any] = json.loads((folder / REPORT).read_text("utf-8"))
        return {name: found[name] for name in ("weights", "tau", "top10", "passed")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenModel(f"{folder / REPORT} is damaged ({error}); export the model again") from error


def check_export(folder: Path) -> None:
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


def wrong_hashes(folder: Path) -> list[str]:
    """Names of listed files whose content is not what the list says; reads them whole."""
    return [name for name, digest in listed_hashes(folder).items() if file_hash(folder / name) != digest]


def file_hash(path: Path) -> str:
    """SHA-256 in hex."""
    hashed = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hashed.update(block)
    return hashed.hexdigest()


def check_tokens(folder: Path, tokens: Tokens, rows: int = 0, rules: TokenRules = NO_RULES) -> None:
    """The tokenizer gives only ids and segment ids for which the weights have room, and separates a pair's texts.

    Args:
        folder: of the encoder.
        tokens: its tokenizer.
        rows: for so many ids there are embeddings; where 0, only the config tells.
        rules: name tokens that are put in.

    Raises:
        BrokenModel: it does not: tokenizer and weights are of different models.

    """
    path = folder / "config.json"
    config = read_config(folder)
    template = tokens.template
    stated = whole(config, "vocab_size", path)
    _check_room(folder, tokens, min((n for n in (stated, rows) if n), default=0), rules)
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


def _check_room(folder: Path, tokens: Tokens, room: int, rules: TokenRules) -> None:
    """There is an embedding for every id; `room` is how many there are, 0 where nobody knows."""
    named = [w for w in (rules.query_marker, rules.document_marker, rules.fill if rules.expand else "") if w]
    put_in = {i: word for word in named if (i := tokens.id_of(word)) is not None}
    for prefix in (rules.query_prefix, rules.document_prefix):
        put_in |= dict.fromkeys(tokens.leading(prefix)[0], prefix) if prefix else {}
    largest = max([tokens.largest_id, *put_in])
    if not room or largest < room:
        return
    told = f"{folder}: the tokenizer gives ids up to {largest}, the weights have {room} tokens"
    added = {i: word for i, word in (tokens.added | put_in).items() if i >= room}
    if largest in added and len(added) > largest - room:
        some = ", ".join(map(repr, list(added.values())[:5]))
        raise BrokenModel(
            f"{told}: {some} was added to the tokenizer, and the embeddings kept their size; call "
            "resize_token_embeddings(len(tokenizer)) and train, or take the tokenizer that the model was trained with"
        )
    raise BrokenModel(f"{told}; they are of different models: copy both from one place")
