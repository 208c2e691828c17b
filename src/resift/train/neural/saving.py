"""Writes a trained cross-encoder, and proves by scoring again that what was written is what was measured."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from resift.errors import BrokenModel, InputError, ResiftError, UnknownFamily
from resift.models.contract import Contract, Golden
from resift.models.folder import ModelFolder
from resift.models.inputs import EncoderInput
from resift.models.recognition import contract_of
from resift.score.load import load_scorer
from resift.train.neural.base_model import BaseModel, quiet
from resift.train.neural.grouped import Floats, GroupedCrossEncoder, score_pairs
from resift.types import Candidate, Document, Query

TOLERANCE = 1e-4  # of a logit, relative to the largest one where that is over 1
ADAPTER = "adapter"
_PROBES = 32
_GOLDEN = 3


def check_place(out: Path) -> None:
    """Refuse a place where no model can be written, before anything is trained.

    Raises:
        InputError: it exists and is not empty, or can't be made.

    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already; name a folder that is not")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise InputError(f"{out} can't be written ({error.strerror or error}); name another folder") from error


def write(
    base: BaseModel, out: Path, pairs: Sequence[tuple[str, str]], texts: Mapping[str, str], merge: bool = True
) -> dict[str, float]:
    """Write a model, load it again, and compare its scores with those that it had; all of the folder or nothing.

    Adapters and the head are written as peft writes them: beside the merged model, in the folder `adapter`, or alone.
    The model in memory is merged where it is written so.

    Args:
        base: the trained model.
        out: a folder that does not exist, or is empty.
        pairs: texts that are scored before and after.
        texts: other files, by name.
        merge: whether the merged model is written.

    Returns:
        The largest change of a score, by who loaded the folder.

    Raises:
        BrokenModel: what was written scores otherwise; nothing is left behind.

    """
    probes = _probes(base.model, pairs)
    expected = score_pairs(base.model, probes)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        deltas = {}
        if base.adapted is not None:
            deltas["peft"] = _write_adapter(base, part / ADAPTER if merge else part, probes, expected)
        if base.adapted is None or merge:
            deltas |= _write_whole(base, part, out.name, probes, expected)
        for name, text in texts.items():
            (part / name).write_text(text, "utf-8")
        _refuse_changed(deltas, expected, out)
        if out.exists():
            out.rmdir()
        part.chmod(0o755)
        part.rename(out)
    except OSError as error:
        raise InputError(f"{out} can't be written ({error.strerror or error}); name another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return deltas


def _probes(model: GroupedCrossEncoder, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Some pairs that no limit cuts, so that all who load the model read the same."""
    limit = model.max_seq_length or 1 << 30
    chosen = []
    for pair in dict.fromkeys(pairs):
        if all(text.strip() for text in pair) and len(model.tokenizer(*pair, verbose=False)["input_ids"]) <= limit:
            chosen.append(pair)
        if len(chosen) == _PROBES:
            break
    return chosen or [("what is water", "the water of the lamp")]


def _write_adapter(base: BaseModel, folder: Path, probes: list[tuple[str, str]], expected: Floats) -> float:
    """Adapters and head by peft, and the largest change of a score after peft loads them onto the base."""
    from peft import PeftModel

    with quiet():
        base.adapted.save_pretrained(str(folder))
    settings = folder / "adapter_config.json"
    entries = json.loads(settings.read_text("utf-8")) | {"base_model_name_or_path": str(base.folder)}
    settings.write_text(json.dumps(entries, indent=2, default=list), "utf-8")
    with quiet():
        fresh = GroupedCrossEncoder(
            str(base.folder), num_labels=base.model.num_labels, max_length=base.model.max_seq_length,
            local_files_only=True, device=str(base.model.device),
        )  # fmt: skip
        PeftModel.from_pretrained(fresh[0].model, str(folder))
    return float(np.abs(score_pairs(fresh, probes) - expected).max())


def _write_whole(
    base: BaseModel, folder: Path, name: str, probes: list[tuple[str, str]], expected: Floats
) -> dict[str, float]:
    """The model in the layout of sentence-transformers with a contract, and what changed for either library."""
    model = base.model
    model.set_keep_in_fp32_modules([])
    if base.adapted is not None:
        with quiet():
            model[0].model = base.adapted.merge_and_unload()
    model.activation_fn = nn.Sigmoid() if model.num_labels == 1 else nn.Identity()  # of `predict` alone
    with quiet():
        model.save(str(folder), create_model_card=False)
        model.activation_fn = nn.Identity()
        again = GroupedCrossEncoder(str(folder), local_files_only=True, device=str(model.device))
    deltas = {"sentence-transformers": float(np.abs(score_pairs(again, probes) - expected).max())}
    try:
        contract = replace(_contract(folder), name=name, max_tokens=int(model.max_seq_length or 512))
    except UnknownFamily:
        return deltas  # an architecture that Resift does not run: it stays a model of sentence-transformers
    golden = tuple(Golden(q, d, float(s)) for (q, d), s in zip(probes[:_GOLDEN], expected[:_GOLDEN], strict=False))
    contract = replace(contract, window_tokens=contract.max_tokens, golden=golden)
    contract.write(folder)
    pairs = [(Query(query), Candidate(Document(str(i), text))) for i, (query, text) in enumerate(probes)]
    try:
        judgements = load_scorer(str(folder), "f32", engine="auto").score(pairs).judgements
    except ResiftError as error:
        raise BrokenModel(f"Resift can't score with the model that was written: {error}") from error
    values = np.array([np.nan if j.value is None else j.value for j in judgements])
    return deltas | {"resift": float(np.abs(values - expected).max())}


def _contract(folder: Path) -> Contract:
    """The contract of a folder, with the truncation of its training."""
    contract = contract_of(ModelFolder(folder))
    if not isinstance(contract.input, EncoderInput):
        raise UnknownFamily(f"{folder} is no cross-encoder")
    return replace(contract, input=replace(contract.input, truncation="longest_first"))


def _refuse_changed(deltas: Mapping[str, float], expected: Floats, out: Path) -> None:
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    for reader, delta in deltas.items():
        if not delta <= allowed:
            raise BrokenModel(
                f"{out} was not written: loaded by {reader} its scores differ by {delta:.2g} from the trained model's"
            )
