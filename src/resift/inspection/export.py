"""Writes a model folder in another format or with smaller weights, and measures what that did to the order."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from resift import atomic
from resift.errors import InputError, ScoreError, UnknownFamily
from resift.inspection.agreement import (
    LEAST_TAU,
    LEAST_TOP10,
    agreement,
    finite,
    grid,
    languages_of,
    pair,
    probes,
)
from resift.models.contract import Contract, Golden
from resift.models.folder import ModelFolder
from resift.models.graph_files import onnx_file
from resift.models.graph_source import graph_source
from resift.models.inner_heads import inner_head, with_one_head
from resift.models.inputs import EncoderInput
from resift.models.integrity import REPORT, SUMS, file_hash
from resift.models.tokenizer import TOKENIZER
from resift.models.tokenizers.names import SETTINGS_FILES, VOCABULARY_FILES
from resift.protocols import Scorer
from resift.score.load import load_scorer, located, recognise_reranker

FileFormat = Literal["openvino", "onnx"]
WeightFormat = Literal["f32", "fp16", "int8"]  # how matrices are stored

_COPIED = (
    TOKENIZER,
    *VOCABULARY_FILES,
    *SETTINGS_FILES,
    "config.json",
    "MODEL_CARD.md",
    "LICENSE",
)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """How the exported folder compares with its source, both at f32, on the probes of `languages`.

    Attributes:
        tau: Kendall's tau-b per question, averaged.
        top10: the share of the ten best per question that are also the export's, averaged.
        max_delta: the largest change of a score.
        pairs_per_second: of the export at f32, on this machine.
        source_pairs_per_second: of the source, likewise.
        bytes: of the export's weight files.
        source_bytes: of the source's.
        passed: whether tau and top10 are at least `least_tau` and `least_top10`.

    """

    model: str
    to: FileFormat
    weights: WeightFormat
    languages: tuple[str, ...]
    pairs: int
    tau: float
    top10: float
    max_delta: float
    pairs_per_second: float
    source_pairs_per_second: float
    bytes: int
    source_bytes: int
    least_tau: float
    least_top10: float
    passed: bool


def export(
    name: str, out: Path, to: FileFormat = "openvino", weights: WeightFormat = "fp16", force: bool = False
) -> ExportReport:
    """Write `out`: weights, tokenizer, config, contract with golden pairs, report, and hashes; all of it or nothing.

    Args:
        name: a reranker: bundled name, folder or hub id.
        out: a folder that does not exist, or is empty.
        to: "openvino" needs nothing more; "onnx" needs torch, unless the source is an ONNX file already.
        weights: how matrices are stored; the precision of computing does not depend on it.
        force: write the folder even when the order changed too much.

    Raises:
        InputError: `out` exists and is not empty, or can't be written.
        ModelError: the source can't be used.
        ScoreError: the order changed too much.
        MissingExtra: a package for this format is not installed.

    """
    if to not in get_args(FileFormat) or weights not in get_args(WeightFormat):
        formats, weight_formats = get_args(FileFormat), get_args(WeightFormat)
        raise InputError(f"export to {formats} with weights of {weight_formats}; not {to!r}, {weights!r}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is there already; name a folder that is not")
    name = located(name)
    folder, contract = recognise_reranker(name)
    source = load_scorer(name, "f32", engine="openvino")
    out = out.resolve()
    with atomic.blaming(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic.folder(out) as part:
            _copy_settings(folder, part)
            with_one_head(replace(contract, golden=())).write(part)
            _write_weights(folder, contract, part, to, weights)
            report = _measure(source, contract, folder, part, to, weights)
            if not report.passed and not force:
                raise ScoreError(
                    f"{weights} weights change the order: tau {report.tau:.3f} (least {LEAST_TAU}), ten best kept "
                    f"{report.top10:.1%} (least {LEAST_TOP10:.0%}); choose --weights fp16 or f32, or --force"
                )
            _seal(part, with_one_head(contract), report)
            if out.exists():
                out.rmdir()  # what was put there meanwhile is not replaced
    return report


def _copy_settings(folder: ModelFolder, part: Path) -> None:
    """Copy the files beside the weights; where modules.json lowers the case of letters, the tokenizer then does it."""
    for file in _COPIED:
        source = next((f for f in (folder.encoder.path / file, folder.path / file) if f.exists()), None)
        if source is not None:
            shutil.copyfile(source, part / file)
    if folder.lower_case:
        path = part / TOKENIZER
        if not path.exists():
            raise UnknownFamily(
                f"{folder} puts texts in lower case (sentence_bert_config.json), and only tokenizer.json can say so in "
                "an export: save the model with its fast tokenizer first"
            )
        tokenizer = json.loads(path.read_text("utf-8"))
        normalizers = [tokenizer["normalizer"]] if tokenizer.get("normalizer") else []
        tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *normalizers]}
        path.write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n", "utf-8")


def _write_weights(folder: ModelFolder, contract: Contract, part: Path, to: FileFormat, weights: WeightFormat) -> None:
    if to == "openvino":
        from resift.engine.openvino import save_model

        save_model(graph_source(folder, contract).read(), part / "openvino_model.xml", weights)
        return
    from resift.engine.onnx import round_weights
    from resift.engine.torch import export_onnx, reads

    if inner_head(contract):
        raise UnknownFamily(f"{contract.name} is written as OpenVINO files alone; use --to openvino")

    if graph := onnx_file(folder, contract):
        round_weights(graph, part / "model.onnx", weights)
        return
    if not isinstance(contract.input, EncoderInput) or not reads(folder.path):
        raise UnknownFamily(
            f"{contract.name} has neither model.onnx nor safetensors of a classifier; use --to openvino"
        )
    export_onnx(folder.path, part / "model.onnx")
    if weights != "f32":
        round_weights(part / "model.onnx", part / "model.onnx", weights)


def _measure(
    source: Scorer, contract: Contract, folder: ModelFolder, part: Path, to: FileFormat, weights: WeightFormat
) -> ExportReport:
    """Score the probes with both models, at f32, on OpenVINO."""
    languages = languages_of(contract) or ["en"]
    exported = load_scorer(str(part), "f32", engine="openvino")
    source_scores, source_speed = _timed(source, languages)
    scores, speed = _timed(exported, languages)
    similarity = agreement(source_scores, scores)
    return ExportReport(
        source.info.name, to, weights, tuple(languages),
        similarity.pairs, similarity.tau, similarity.top10, similarity.max_delta, speed, source_speed,
        _weight_bytes(ModelFolder(part)), _weight_bytes(folder), LEAST_TAU, LEAST_TOP10, similarity.good,
    )  # fmt: skip


def _timed(scorer: Scorer, languages: Sequence[str]) -> tuple[npt.NDArray[np.float64], float]:
    """Scores of the probes, and pairs per second."""
    scorer.score([pair("a", "b")])  # compiles
    began = time.perf_counter()
    scores = np.concatenate([grid(scorer, language) for language in languages])
    return scores, scores.size / (time.perf_counter() - began)


def _weight_bytes(folder: ModelFolder) -> int:
    files = {file for parent in (folder.path, folder.encoder.path) for file in parent.iterdir()}
    return sum(f.stat().st_size for f in files if f.suffix in (".bin", ".xml", ".onnx", ".safetensors"))


def _seal(part: Path, contract: Contract, report: ExportReport) -> None:
    """Write golden pairs with the scores of the exported weights, the report, and the hash of every file.

    The pairs are those of the source's golden ones, or else probes.
    """
    texts = [(g.query, g.document) for g in contract.golden] or [
        (p.query, text)
        for language in report.languages
        for p in probes()[language][:3]
        for text in (p.relevant, p.irrelevant)
    ]
    scores = finite(load_scorer(str(part), "f32", engine="openvino"), [pair(q, d) for q, d in texts])
    new_golden = tuple(Golden(q, d, round(float(value), 6)) for (q, d), value in zip(texts, scores, strict=True))
    replace(contract, golden=new_golden).write(part)
    (part / REPORT).write_text(json.dumps(asdict(report), indent=1) + "\n", "utf-8")
    files = sorted(f for f in part.iterdir() if f.name != SUMS)
    (part / SUMS).write_text("".join(f"{file_hash(f)}  {f.name}\n" for f in files), "utf-8")
