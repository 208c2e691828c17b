"""Examines a model: its files, how its input is built, its numbers, its engines, and what it makes of trivial pairs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from resift.errors import BrokenModel, MissingExtra, NonFiniteScore, ResiftError, UnknownFamily
from resift.inspection.agreement import LEAST_TAU, LEAST_TOP10, agreement, finite, grid, pair, probe_pairs, probes
from resift.models.checkpoints import encoder_folder, lowered, to_rerank
from resift.models.config import read_object
from resift.models.contract import Contract, read_contract
from resift.models.exported import onnx_file
from resift.models.integrity import changed_order, check_files, check_tokens, export_report, listed_hashes, wrong_hashes
from resift.models.registry import with_row
from resift.models.tokenizer import Tokens
from resift.score.cross_encoder import CrossEncoder, LongDocuments
from resift.score.engine_choice import EngineName, Precision
from resift.score.late_interaction import LateInteraction
from resift.score.load import find_model, load_scorer, runs_natively

Status = Literal["ok", "note", "warn", "fail"]

TOLERANCE = 1e-4  # at f32, of a score, or of its size where that is over 1
LEAST_RIGHT = 10  # of twelve trivial pairs of a language that the model claims
_SAME = 0.5  # a share of distinct scores below this is saturation

# Tokens per character above which a vocabulary does not fit a language, and the share of unknown tokens above which it
# can't read it. An English WordPiece vocabulary gives 0.21 for English and 0.40 for Vietnamese on the probes.
_MOST_TOKENS, _MOST_UNKNOWN = {"en": 0.35, "vi": 0.36, "zh": 1.05, "ja": 1.05}, 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: fine, worth knowing, a warning, or a failure, in one sentence."""

    check: str
    status: Status
    message: str


@dataclass(frozen=True, slots=True)
class _Case:
    """A model that loaded, and what it says at f32.

    `answers` holds, per language, the scores (questions, 2) of each question's right and wrong passage; `reference` the
    scores of many pairs in one language, with which other engines are compared.
    """

    name: str
    folder: Path
    scorer: CrossEncoder | LateInteraction
    config: dict[str, Any]
    language: str
    answers: dict[str, npt.NDArray[np.float64]]
    reference: npt.NDArray[np.float64]

    @property
    def contract(self) -> Contract:
        return self.scorer.contract

    @property
    def scale(self) -> float:
        """What the tolerance is a share of."""
        return max(1.0, float(np.abs(self.values).max()))

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """All scores."""
        return np.concatenate([self.reference.ravel(), *(a.ravel() for a in self.answers.values())])


def examine(name: str) -> Iterator[Finding]:
    """Give findings as they are made; what builds on a failed check is left out.

    Args:
        name: bundled name, folder or hub id.

    """
    standing = list(_standing(name))
    yield from standing
    if any(f.status == "fail" for f in standing):
        return
    folder = find_model(name)
    try:
        case = _asked(str(folder), folder)  # by its path, so that a hub is asked once
    except ResiftError as error:
        yield Finding("finite" if isinstance(error, NonFiniteScore) else "weights", "fail", str(error))
        return
    yield Finding("weights", "ok", "every tensor of the head and the encoder is in the files")
    yield Finding("finite", "ok", f"{case.values.size} scores at f32, all finite")
    yield from _pad(case)
    yield from _pair_encoding(case)
    spread = _spread(case)
    yield spread
    if spread.status == "fail":
        return
    for check in (_truncation, _invariance, _export, _engines, _probes, _vocabulary, _golden):
        try:
            yield from check(case)
        except ResiftError as error:
            yield Finding(check.__name__.strip("_"), "fail", str(error))


def _asked(name: str, folder: Path) -> _Case:
    scorer = load_scorer(name, "f32", engine="openvino")
    answers = {}
    for language, found in probes().items():
        both = [pair(p.query, text) for p in found for text in (p.relevant, p.irrelevant)]
        answers[language] = finite(scorer, both).reshape(-1, 2)
    language = next((x for x in probes() if x in scorer.contract.languages), "en")
    return _Case(name, folder, scorer, _config(encoder_folder(folder)), language, answers, grid(scorer, language))


def _standing(name: str) -> Iterator[Finding]:
    """What can be said without running the model."""
    try:
        folder = find_model(name)
    except ResiftError as error:
        yield Finding("folder", "fail", str(error))
        return
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
        ("family", partial(_family, name, folder)),
        ("files", partial(_files, folder)),
        ("tokenizer", partial(_tokenizer, folder)),
        ("head", partial(_head, name)),
    )
    broken = False
    for check, step in steps:
        if check == "head" and broken:
            return
        try:
            yield Finding(check, "ok", step())
        except ResiftError as error:
            broken = True
            yield Finding(check, "fail", str(error))


def _family(name: str, folder: Path) -> str:
    contract = to_rerank(folder, with_row(read_contract(folder), name, folder))
    if contract.family not in ("encoder", "late"):
        raise UnknownFamily(f"{name} is a {contract.family} model, an embedder: it scores no pairs")
    whence = "its contract.json" if (folder / "contract.json").exists() else "its config and tensors"
    return f"a reranker of family {contract.family}, score {contract.kind.value}, according to {whence}"


def _files(folder: Path) -> str:
    check_files(folder)
    listed = listed_hashes(folder)
    if wrong := wrong_hashes(folder):
        raise BrokenModel(f"{', '.join(wrong)} of {folder} changed since the hashes were listed; fetch the model again")
    return f"{len(listed)} files with the listed hashes" if listed else "there; no hashes are listed"


def _tokenizer(folder: Path) -> str:
    encoder = encoder_folder(folder)
    tokens = Tokens(encoder)
    check_tokens(encoder, tokens)
    return f"ids up to {tokens.largest_id}, {tokens.template.size} special tokens around a pair"


def _head(name: str) -> str:
    load_scorer(name, "f32", engine="openvino")
    return "trained weights for the head are there"


def _pad(case: _Case) -> Iterator[Finding]:
    own = _config(encoder_folder(case.folder), "tokenizer_config.json")
    token = own.get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    known = case.scorer.tokens.id_of(token) if token else None
    stated = case.config.get("pad_token_id")
    if known is not None and stated is not None and known != stated:
        # RoBERTa's positions are counted from the padding id, so that a wrong one moves every token.
        status: Status = "fail" if "roberta" in str(case.config.get("model_type")) else "warn"
        yield Finding("pad", status, f"the tokenizer pads with {known} ({token}), config.json says {stated}")
        return
    side = " on the left; Resift pads on the right, under a mask" if own.get("padding_side") == "left" else ""
    yield Finding("pad", "ok", f"padding id {0 if stated is None else stated}{side}")


def _pair_encoding(case: _Case) -> Iterator[Finding]:
    if case.contract.family != "encoder":
        return
    tokens = case.scorer.tokens
    texts = [p for found in probes().values() for p in found]
    for probe in texts:
        query, document = tokens.ids([probe.query, probe.relevant])
        ids, segments = tokens.template.pair(query, document)
        together, marked = tokens.joint(probe.query, probe.relevant)
        if ids != together or (any(segments) and segments != marked):
            yield Finding("pair encoding", "fail", f"tokenizing a pair together and apart differ: {probe.query!r}")
            return
    kinds = "segments 0 and 1" if any(tokens.template.segments) else "segments all 0"
    if kinds.endswith("all 0") and any(marked):
        kinds += ": the tokenizer marks a second text, and tokenizer_config.json does not have it told to the model"
    yield Finding("pair encoding", "ok", f"{len(texts)} pairs as the tokenizer puts them together, {kinds}")
    yield from _transformers(case, [(p.query, p.relevant) for p in texts])


def _transformers(case: _Case, pairs: Sequence[tuple[str, str]]) -> Iterator[Finding]:
    """Whether Transformers, where it is installed, puts pairs together as Resift does.

    Left out where Resift changes texts before the tokenizer reads them.
    """
    if case.contract.vectors.segmenter or lowered(case.folder) or not importlib.util.find_spec("transformers"):
        return
    from resift.engine.torch import tokenized

    whose, read = tokenized(encoder_folder(case.folder), pairs)
    if read is None:
        yield Finding("transformers", "note", f"{whose} can't read the tokenizer, so that there is nothing to compare")
        return
    tokens = case.scorer.tokens
    for (query, document), (ids, segments) in zip(pairs, read, strict=True):
        first, second = tokens.ids([query, document])
        ids_here, segments_here = tokens.template.pair(first, second)
        if ids != ids_here:
            yield Finding("transformers", "warn", f"{whose} gives other tokens for {query!r}: scores differ from its")
            return
        if segments != segments_here and case.config.get("type_vocab_size", 2) != 1:
            kinds = "0 and 1" if any(segments_here) else "all 0"
            told = f"{whose} gives other segments; here they are {kinds}, as the library that wrote the folder had them"
            yield Finding("transformers", "warn", f"{told}: scores differ from its")
            return
    yield Finding("transformers", "ok", f"{len(pairs)} pairs as {whose} puts them together")


def _truncation(case: _Case) -> Iterator[Finding]:
    """Over a document far too long, two queries must still give two scores, in windows and cut."""
    (first, second), long = probes()[case.language][:2], probes()[case.language][0].relevant + " "
    long *= 2 + 4 * case.contract.max_tokens // max(1, len(case.scorer.tokens.ids([long])[0]))
    ways: tuple[LongDocuments, ...] = ("windows", "truncate")
    for way in ways:
        scorer = load_scorer(case.name, "f32", way, engine="openvino")
        scores = scorer.score([pair(first.query, long), pair(second.query, long)])
        if not scores.flags[0] & {"windowed", "truncated"}:
            yield Finding("truncation", "fail", f"a document over the window is not reported ({way})")
            return
        if scores.values[0] == scores.values[1]:
            yield Finding("truncation", "fail", f"the query is lost when the document is too long ({way})")
            return
    yield Finding("truncation", "ok", "the query is kept when the document is too long, and what was cut is reported")


def _spread(case: _Case) -> Finding:
    values = case.values
    if np.ptp(values) <= TOLERANCE * case.scale:
        return Finding("spread", "fail", f"every score is {values[0]:.4g}: the head is constant, or training collapsed")
    share = len(np.unique(np.round(values, 6))) / len(values)
    if share < _SAME:
        return Finding("spread", "fail", f"only {share:.0%} of the scores are distinct: they are saturated")
    return Finding("spread", "ok", f"{values.min():.3f} to {values.max():.3f}, {share:.0%} distinct")


def _invariance(case: _Case) -> Iterator[Finding]:
    """Batch of one against batch of many, beside a long neighbour, and in another order, at f32."""
    given = probe_pairs(case.language)[::18]
    expected = np.array(case.scorer.score(given).values, float)
    alone = [case.scorer.score([p]).values[0] for p in given]
    long = pair("a long neighbour", "a word that comes again and again " * 60)
    beside = case.scorer.score([*given, long]).values[:-1]
    backwards = case.scorer.score(given[::-1]).values[::-1]
    worst = max(float(np.abs(expected - np.array(v, float)).max()) for v in (alone, beside, backwards))
    good = worst <= TOLERANCE * case.scale
    gaps = np.diff(np.sort(case.reference, axis=1), axis=1)
    near = int((gaps <= max(worst, 1e-7 * case.scale)).sum())  # these two may change places: f32 has 7 digits
    told = (
        f"alone, beside a long one and backwards, a score moves by {worst:.1e} at most; "
        f"{near} of {gaps.size} neighbours in an order are no further apart"
    )
    yield Finding("invariance", "ok" if good else "fail", told)


def _export(case: _Case) -> Iterator[Finding]:
    """What the export that made the folder measured against its source."""
    report = export_report(case.folder)
    if report and report["passed"]:
        yield Finding("export", "ok", f"{report['weights']} weights keep the source's order, tau {report['tau']:.3f}")
    elif report:
        yield Finding("export", "fail", changed_order(report))


def _engines(case: _Case) -> Iterator[Finding]:
    """Every engine and precision that is here against OpenVINO at f32."""
    for engine, precision in _variants(case):
        check = f"{engine} {precision}"
        try:
            found = grid(load_scorer(case.name, precision, engine=engine), case.language)
        except NonFiniteScore:
            yield Finding(check, "fail", f"gives NaN or infinity at {precision}: load it with precision='f32'")
            continue
        except (UnknownFamily, MissingExtra) as error:
            yield Finding(check, "note", str(error))
            continue
        same = agreement(case.reference, found)
        told = f"tau {same.tau:.3f}, ten best kept {same.top10:.1%}, largest change {same.max_delta:.1e}"
        exact = same.max_delta <= TOLERANCE * case.scale if precision == "f32" else same.good
        bar = f"{TOLERANCE:g}" if precision == "f32" else f"tau {LEAST_TAU}, {LEAST_TOP10:.0%}"
        yield Finding(check, "ok" if exact else "fail", told if exact else f"{told}: misses {bar}")


def _variants(case: _Case) -> Sequence[tuple[EngineName, Precision]]:
    from resift.engine.openvino import fastest_float, has_int8

    found: list[tuple[EngineName, Precision]] = []
    if runs_natively(case.folder, case.contract):
        found.append(("native", "bf16"))
        if case.contract.int8 and has_int8():
            found.append(("native", "int8"))
    if fastest_float() == "bf16":
        found.append(("openvino", "bf16"))
    if case.contract.int8 and has_int8():
        found.append(("openvino", "int8"))
    whole = case.contract.family == "encoder" or (case.folder / "contract.json").exists()
    if whole and onnx_file(case.folder) and importlib.util.find_spec("onnxruntime"):
        found.append(("onnx", "f32"))
    safetensors = case.contract.family == "encoder" and list(case.folder.glob("*.safetensors"))
    if safetensors and importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
        found += [("torch", "f32"), ("torch", "bf16"), ("torch", "fp16")]
    return found


def _probes(case: _Case) -> Iterator[Finding]:
    """Answers above passages about something else, in the languages that the model claims."""
    claimed = case.contract.languages
    right = {language: int((a[:, 0] > a[:, 1]).sum()) for language, a in case.answers.items()}
    lost = not claimed and max(right.values()) < LEAST_RIGHT
    for language, count in right.items():
        unknown = _unknown(case, language)[1]
        told = f"{count} of {len(case.answers[language])} answers above what is about something else"
        good = count >= LEAST_RIGHT
        status: Status = "ok" if good else "fail" if language in claimed or lost else "note"
        if status != "fail" and unknown > _MOST_UNKNOWN:  # what is left of the texts may be told apart by chance
            status = "warn" if language in claimed else "note"
            told = f"nothing can be said: {unknown:.0%} of the texts are unknown to the vocabulary"
        elif claimed and language not in claimed:
            status, told = "note", f"{told}; the model does not claim it"
        yield Finding(f"probes {language}", status, told)


def _unknown(case: _Case, language: str) -> tuple[float, float]:
    """Tokens per character of a language's probes, and the share of them that the vocabulary lacks."""
    tokens = case.scorer.tokens
    text = " ".join(t for p in probes()[language] for t in (p.query, p.relevant, p.irrelevant))
    (ids,) = tokens.ids([text])
    return len(ids) / len(text), ids.count(tokens.unknown) / len(ids)


def _vocabulary(case: _Case) -> Iterator[Finding]:
    for language in probes():
        rate, unknown = _unknown(case, language)
        bad = rate > _MOST_TOKENS[language] or unknown > _MOST_UNKNOWN
        status: Status = "ok" if not bad else "warn" if language in case.contract.languages else "note"
        told = f"{rate:.2f} tokens per character, {unknown:.0%} unknown"
        yield Finding(f"vocabulary {language}", status, told + (": the vocabulary does not fit" if bad else ""))


def _golden(case: _Case) -> Iterator[Finding]:
    given = case.contract.golden
    if not given:
        yield Finding("golden", "note", "the folder has no golden pairs; `resift export` writes some")
        return
    values = case.scorer.score([pair(g.query, g.document) for g in given]).values
    worst = max(abs((v if v is not None else np.inf) - g.score) for v, g in zip(values, given, strict=True))
    good = worst <= TOLERANCE * case.scale
    told = f"{len(given)} pairs, largest difference {worst:.1e}"
    yield Finding("golden", "ok" if good else "fail", told if good else f"{told}: weights or tokenizer were changed")


def _config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    return read_object(folder / name) if (folder / name).exists() else {}
