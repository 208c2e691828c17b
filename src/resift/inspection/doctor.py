"""Examines a model: its files, how its input is built, its numbers, its engines, and what it makes of trivial pairs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import numpy.typing as npt

from resift.errors import BrokenModel, MissingExtra, NonFiniteScore, ResiftError, UnknownFamily
from resift.inspection.agreement import LEAST_TAU, LEAST_TOP10, agreement, finite, grid, pair, probes
from resift.inspection.scorer_checks import (
    TOLERANCE,
    Finding,
    Status,
    belonging_checks,
    examine_scorer,
    probe_language,
    published_scores_check,
    scale_of,
)
from resift.inspection.unread_vocabulary import unread_vocabulary
from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.graph_files import onnx_file
from resift.models.graph_source import graph_source
from resift.models.inner_heads import layer_of
from resift.models.inputs import EmbedderInput, EncoderInput
from resift.models.integrity import changed_order, check_files, check_tokens, export_report, listed_hashes, wrong_hashes
from resift.models.layer_names import with_layer
from resift.models.layouts.bge_m3 import to_rerank
from resift.models.registry import row_of
from resift.models.tokenizer import Tokens
from resift.protocols import Scorer
from resift.score.load import find_model, load_scorer, located, recognise
from resift.score.options import EngineOption, LongDocuments, Precision

LEAST_RIGHT = 10  # of twelve trivial pairs of a language that the model claims
_SAME = 0.5  # a share of distinct scores below this is saturation

# Tokens per character above which a vocabulary does not fit a language, and the share of unknown tokens above which it
# can't read it. An English WordPiece vocabulary gives 0.21 for English and 0.40 for Vietnamese on the probes.
_MOST_TOKENS, _MOST_UNKNOWN = {"en": 0.35, "vi": 0.36, "zh": 1.05, "ja": 1.05}, 0.05


@dataclass(frozen=True)
class _Case:
    """A model that loaded, and its scores at f32.

    `answers` holds, per language, the scores (questions, 2) of each question's right and wrong passage; `reference` the
    scores of many pairs in one language, with which other engines are compared.
    """

    folder: ModelFolder
    contract: Contract
    scorer: Scorer
    language: str
    answers: dict[str, npt.NDArray[np.float64]]
    reference: npt.NDArray[np.float64]

    @property
    def name(self) -> str:
        """The path of the folder, so that a hub is asked once."""
        return with_layer(str(self.folder), layer_of(self.contract))

    @cached_property
    def tokens(self) -> Tokens:
        """The tokenizer, for the checks of families that have one."""
        return Tokens(self.folder.encoder, self.folder.lower_case)

    @property
    def scale(self) -> float:
        """The size of scores of which the tolerance is a share."""
        return scale_of(self.values)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """All scores."""
        return np.concatenate([self.reference.ravel(), *(a.ravel() for a in self.answers.values())])


def examine(model: str | Scorer) -> Iterator[Finding]:
    """Give findings one by one; a check that builds on a failed one is left out.

    Args:
        model: bundled name, folder or hub id; or a scorer, to which the checks for every scorer apply.

    """
    if not isinstance(model, str):
        yield from examine_scorer(model)
        return
    findings = list(_before_running(model))
    yield from findings
    if any(f.status == "fail" for f in findings):
        return
    try:
        case = _scored(model)
    except ResiftError as error:
        yield Finding("finite" if isinstance(error, NonFiniteScore) else "weights", "fail", str(error))
        return
    if "head" in case.contract.row.checks:
        yield Finding("weights", "ok", "every tensor of the head and the encoder is in the files")
    yield Finding("finite", "ok", f"{case.values.size} scores at f32, all finite")
    for check in _checks(case.contract):
        try:
            for finding in check(case):
                yield finding
                if (finding.check, finding.status) == ("spread", "fail"):
                    return
        except ResiftError as error:
            yield Finding(_name(check), "fail", str(error))


def _checks(contract: Contract) -> list[Callable[[_Case], Iterator[Finding]]]:
    """Those of the checks behind loading that apply to a family: to all of them, or named in its row."""
    of_families = (_pad, _pair_encoding, _truncation, _engines, _vocabulary)
    every = (_pad, _pair_encoding, _spread, _truncation, _belonging, _export, _engines, _probes, _vocabulary, _golden)
    return [check for check in every if check not in of_families or _name(check) in contract.row.checks]


def _name(check: Callable[[_Case], Iterator[Finding]]) -> str:
    return check.__name__.strip("_").replace("_", " ")


def _scored(name: str) -> _Case:
    name = located(name)
    folder, contract = _reranker(name)
    scorer = load_scorer(name, "f32", engine="openvino")
    answers = {}
    for language, questions in probes().items():
        pairs = [pair(p.query, text) for p in questions for text in (p.relevant, p.irrelevant)]
        answers[language] = finite(scorer, pairs).reshape(-1, 2)
    language = probe_language(contract.languages)
    return _Case(folder, contract, scorer, language, answers, grid(scorer, language))


def _before_running(name: str) -> Iterator[Finding]:
    """The checks for which the model need not run."""
    try:
        folder = ModelFolder(find_model(name))
    except ResiftError as error:
        yield Finding("folder", "fail", str(error))
        return
    family = _tried("family", partial(_family, name))
    yield family
    broken = family.status == "fail"
    steps: dict[str, Callable[[], str]] = {"files": partial(_files, folder)}
    if broken or "tokenizer" in _reranker(name)[1].row.checks:
        steps["tokenizer"] = partial(_tokenizer, folder)
    for check, step in steps.items():
        finding = _tried(check, step)
        yield finding
        broken = broken or finding.status == "fail"
    if not broken and "tokenizer" in steps:
        yield from unread_vocabulary(folder.encoder)
    if not broken and "head" in _reranker(name)[1].row.checks:
        yield _tried("head", partial(_head, name))


def _tried(check: str, step: Callable[[], str]) -> Finding:
    """The finding of a step that gives a message where all is well, and raises where it is not."""
    try:
        return Finding(check, "ok", step())
    except ResiftError as error:
        return Finding(check, "fail", str(error))


def _reranker(name: str) -> tuple[ModelFolder, Contract]:
    folder, contract = recognise(name)
    contract = to_rerank(folder, contract)
    if not contract.row.reranks:
        raise UnknownFamily(f"{name} is a {contract.family} model, an embedder: it scores no pairs")
    return folder, contract


def _family(name: str) -> str:
    folder, contract = _reranker(name)
    source = "its contract.json" if folder.has_contract else "its config and tensors"
    return f"a reranker of family {contract.family}, score {contract.kind.value}, according to {source}"


def _files(folder: ModelFolder) -> str:
    check_files(folder)
    listed = listed_hashes(folder)
    if wrong := wrong_hashes(folder):
        raise BrokenModel(f"{', '.join(wrong)} of {folder} changed since the hashes were listed; fetch the model again")
    return f"{len(listed)} files with the listed hashes" if listed else "there; no hashes are listed"


def _tokenizer(folder: ModelFolder) -> str:
    tokens = Tokens(folder.encoder)
    check_tokens(folder.encoder, tokens)
    return f"{tokens.source}: ids up to {tokens.largest_id}, {tokens.template.size} special tokens around a pair"


def _head(name: str) -> str:
    load_scorer(name, "f32", engine="openvino")
    return "trained weights for the head are there"


def _pad(case: _Case) -> Iterator[Finding]:
    config = case.folder.encoder.tokenizer_config
    token = config.get("pad_token")
    token = token.get("content") if isinstance(token, dict) else token
    of_tokenizer = case.tokens.id_of(token) if token else None
    stated = case.folder.encoder.config.get("pad_token_id")
    if of_tokenizer is not None and stated is not None and of_tokenizer != stated:
        # RoBERTa's positions are counted from the padding id, so that a wrong one moves every token.
        status: Status = "fail" if "roberta" in case.folder.encoder.model_type else "warn"
        yield Finding("pad", status, f"the tokenizer pads with {of_tokenizer} ({token}), config.json says {stated}")
        return
    side = " on the left; Resift pads on the right, under a mask" if config.get("padding_side") == "left" else ""
    yield Finding("pad", "ok", f"padding id {0 if stated is None else stated}{side}")


def _pair_encoding(case: _Case) -> Iterator[Finding]:
    tokens = case.tokens
    texts = [probe for questions in probes().values() for probe in questions]
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
    joins = isinstance(case.contract.input, EncoderInput | EmbedderInput) and case.contract.input.segmenter
    if joins or case.folder.lower_case or not importlib.util.find_spec("transformers"):
        return
    from resift.engine.torch import tokenized

    library, expected = tokenized(case.folder.encoder.path, pairs)
    if expected is None:
        yield Finding(
            "transformers", "note", f"{library} can't read the tokenizer, so that there is nothing to compare"
        )
        return
    tokens = case.tokens
    for (query, document), (ids, segments) in zip(pairs, expected, strict=True):
        first, second = tokens.ids([query, document])
        ids_here, segments_here = tokens.template.pair(first, second)
        if ids != ids_here:
            yield Finding("transformers", "warn", f"{library} gives other tokens for {query!r}: scores differ from its")
            return
        if segments != segments_here and case.folder.encoder.config.get("type_vocab_size", 2) != 1:
            kinds = "0 and 1" if any(segments_here) else "all 0"
            message = (
                f"{library} gives other segments; here they are {kinds}, as the library that wrote the folder had them"
            )
            yield Finding("transformers", "warn", f"{message}: scores differ from its")
            return
    yield Finding("transformers", "ok", f"{len(pairs)} pairs as {library} puts them together")


def _truncation(case: _Case) -> Iterator[Finding]:
    """Over a document far too long, two queries must still give two scores, in windows and cut."""
    (first, second), long = probes()[case.language][:2], probes()[case.language][0].relevant + " "
    long *= 2 + 4 * case.contract.max_tokens // max(1, len(case.tokens.ids([long])[0]))
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


def _spread(case: _Case) -> Iterator[Finding]:
    values = case.values
    share = len(np.unique(np.round(values, 6))) / len(values)
    if np.ptp(values) <= TOLERANCE * case.scale:
        yield Finding("spread", "fail", f"every score is {values[0]:.4g}: the head is constant, or training collapsed")
    elif share < _SAME:
        yield Finding("spread", "fail", f"only {share:.0%} of the scores are distinct: they are saturated")
    else:
        yield Finding("spread", "ok", f"{values.min():.3f} to {values.max():.3f}, {share:.0%} distinct")


def _belonging(case: _Case) -> Iterator[Finding]:
    """The checks for every scorer, at f32."""
    yield from belonging_checks(case.scorer, case.language, case.reference)


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
            scores = grid(load_scorer(case.name, precision, engine=engine), case.language)
        except NonFiniteScore:
            yield Finding(check, "fail", f"gives NaN or infinity at {precision}: load it with precision='f32'")
            continue
        except (UnknownFamily, MissingExtra) as error:
            yield Finding(check, "note", str(error))
            continue
        same = agreement(case.reference, scores)
        message = f"tau {same.tau:.3f}, ten best kept {same.top10:.1%}, largest change {same.max_delta:.1e}"
        exact = same.max_delta <= TOLERANCE * case.scale if precision == "f32" else same.good
        bar = f"{TOLERANCE:g}" if precision == "f32" else f"tau {LEAST_TAU}, {LEAST_TOP10:.0%}"
        yield Finding(check, "ok" if exact else "fail", message if exact else f"{message}: misses {bar}")


def _variants(case: _Case) -> Sequence[tuple[EngineOption, Precision]]:
    from resift.engine.native.native_engine import obstacle
    from resift.engine.openvino import fastest_float, has_int8

    variants: list[tuple[EngineOption, Precision]] = []
    if not obstacle(graph_source(case.folder, case.contract).checkpoint, "bf16"):
        variants.append(("native", "bf16"))
        if case.contract.int8 and has_int8():
            variants.append(("native", "int8"))
    if fastest_float() == "bf16":
        variants.append(("openvino", "bf16"))
    if case.contract.int8 and has_int8():
        variants.append(("openvino", "int8"))
    if onnx_file(case.folder, case.contract) and importlib.util.find_spec("onnxruntime"):
        variants.append(("onnx", "f32"))
    classifier = isinstance(case.contract.input, EncoderInput) and list(case.folder.path.glob("*.safetensors"))
    if classifier and importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
        variants += [("torch", "f32"), ("torch", "bf16"), ("torch", "fp16")]
    return variants


def _probes(case: _Case) -> Iterator[Finding]:
    """Answers above passages about something else, in the languages that the model claims."""
    claimed = case.contract.languages
    right = {language: int((a[:, 0] > a[:, 1]).sum()) for language, a in case.answers.items()}
    lost = not claimed and max(right.values()) < LEAST_RIGHT
    for language, count in right.items():
        unknown = _rates(case, language)[1] if "vocabulary" in case.contract.row.checks else 0.0
        message = f"{count} of {len(case.answers[language])} answers above what is about something else"
        good = count >= LEAST_RIGHT
        status: Status = "ok" if good else "fail" if language in claimed or lost else "note"
        if status != "fail" and unknown > _MOST_UNKNOWN:  # what is left of the texts may be told apart by chance
            status = "warn" if language in claimed else "note"
            message = f"nothing can be said: {unknown:.0%} of the texts are unknown to the vocabulary"
        elif claimed and language not in claimed:
            status, message = "note", f"{message}; the model does not claim it"
        yield Finding(f"probes {language}", status, message)


def _rates(case: _Case, language: str) -> tuple[float, float]:
    """Tokens per character of a language's probes, and the share of them that the vocabulary lacks."""
    tokens = case.tokens
    text = " ".join(t for p in probes()[language] for t in (p.query, p.relevant, p.irrelevant))
    (ids,) = tokens.ids([text])
    return len(ids) / len(text), ids.count(tokens.unknown) / len(ids)


def _vocabulary(case: _Case) -> Iterator[Finding]:
    for language in probes():
        rate, unknown = _rates(case, language)
        bad = rate > _MOST_TOKENS[language] or unknown > _MOST_UNKNOWN
        status: Status = "ok" if not bad else "warn" if language in case.contract.languages else "note"
        message = f"{rate:.2f} tokens per character, {unknown:.0%} unknown"
        yield Finding(f"vocabulary {language}", status, message + (": the vocabulary does not fit" if bad else ""))


def _golden(case: _Case) -> Iterator[Finding]:
    """The folder's own golden pairs, and the scores that the registry says were published of the checkpoint."""
    if (row := row_of(case.name, case.folder)) and row.golden:
        yield published_scores_check(case.scorer, row.golden)
    pairs = case.contract.golden
    if not pairs:
        yield Finding("golden", "note", "the folder has no golden pairs; `resift export` writes some")
        return
    values = case.scorer.score([pair(g.query, g.document) for g in pairs]).values
    worst = max(abs((v if v is not None else np.inf) - g.score) for v, g in zip(values, pairs, strict=True))
    good = worst <= TOLERANCE * case.scale
    message = f"{len(pairs)} pairs, largest difference {worst:.1e}"
    yield Finding(
        "golden", "ok" if good else "fail", message if good else f"{message}: weights or tokenizer were changed"
    )
