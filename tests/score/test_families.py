"""A family is one row and one module; what a folder says is read once; whatever scores can be examined."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

import resift
from resift.cli.main import app
from resift.errors import BrokenModel, UnknownFamily
from resift.inspection.doctor import examine
from resift.models.families import FAMILIES, Family, supported
from resift.models.folder import ModelFolder
from resift.models.inputs import Input
from resift.models.recognition import LAYOUTS, contract_of, read_contract
from resift.protocols import Scorer
from resift.score.load import find_model, load_embedder
from resift.types import Flag, Judgement, ModelInfo, Pair, ScoreKind, Scores
from tests.checkpoints import cross_encoder
from tests.score.overlap_family import OverlapInput
from tests.static_checkpoints import static
from tests.vector_checkpoints import bge_m3, nested, pylate, sentence_transformer, stanford

ROW = Family("overlap", "pieces of words that query and document share", "a word counter", OverlapInput,
             "tests.score.overlap_family", reranks=True)  # fmt: skip
CONTRACT = {"name": "shared-words", "family": "overlap", "kind": "probability", "max_tokens": 0, "window_tokens": 0,
            "languages": ["en"], "size": 4}  # fmt: skip


@pytest.fixture
def overlap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setitem(FAMILIES, "overlap", ROW)
    folder = tmp_path / "words"
    folder.mkdir()
    (folder / "contract.json").write_text(json.dumps(CONTRACT))
    return folder


def test_a_new_family_is_one_row_and_one_module(overlap: Path) -> None:
    reranker = resift.load(overlap)
    assert (reranker.info.name, reranker.info.family, reranker.info.kind) == ("shared-words", "overlap", "probability")
    ranking = reranker.rerank("who lit the lamp", ["bread and water", "the keeper lit the lamp", ""])
    assert [c.document.id for c in ranking] == ["1", "0", "2"]
    assert contract_of(ModelFolder(overlap)).entries() == read_contract(overlap).entries()
    assert read_contract(overlap).entries()["size"] == 4 and "tokens" not in read_contract(overlap).entries()
    with pytest.raises(UnknownFamily, match="is a word counter: it scores pairs and has no vector"):
        load_embedder(str(overlap))


def test_a_new_family_goes_through_the_doctor(overlap: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", str(overlap), "--json"])
    findings = {f["check"]: f for f in json.loads(result.output)["findings"]}
    assert result.exit_code == 0, findings
    assert findings["family"]["message"].startswith("a reranker of family overlap, score probability")
    assert {"files", "finite", "invariance", "kind", "equal pairs", "empty documents", "probes en"} <= findings.keys()
    assert not findings.keys() & {"tokenizer", "head", "weights", "pad", "pair encoding", "truncation", "vocabulary en"}


def test_a_contract_of_a_new_family_is_checked(overlap: Path) -> None:
    for change, message in (({"tokens": {}}, r"unknown entries \['tokens'\]"), ({"family": "wizard"}, "is no family")):
        (overlap / "contract.json").write_text(json.dumps(CONTRACT | change))
        with pytest.raises((BrokenModel, UnknownFamily), match=message):
            resift.load(overlap)


def test_a_family_that_can_not_be_loaded_yet(overlap: Path) -> None:
    (overlap / "contract.json").write_text(json.dumps(CONTRACT | {"family": "decoder"}))
    with pytest.raises(UnknownFamily, match="family decoder .* is not supported yet; supported: encoder, late"):
        resift.load(overlap)


def test_every_row_that_loads_has_its_module() -> None:
    from importlib import import_module

    for name in supported():
        module = import_module(FAMILIES[name].module)
        assert hasattr(module, "open_scorer") == FAMILIES[name].reranks
        assert hasattr(module, "open_embedder") == FAMILIES[name].embeds


@pytest.mark.parametrize("name", ["resift-mini-en", "resift-static-en"])
def test_bundled_contracts_read_as_they_stand(name: str) -> None:
    stated = json.loads((find_model(name) / "contract.json").read_text())
    entries = json.loads(json.dumps(read_contract(find_model(name)).entries()))
    assert stated.pop("tokens", {}).items() <= entries["tokens"].items()
    assert stated.items() <= entries.items()
    names = {
        "name", "family", "kind", "max_tokens", "window_tokens", "truncation", "labels", "skip", "int8", "blend_weight",
        "blend_weight_indexed", "fusion_weight", "languages", "license", "parameters", "description", "golden",
        "tokens", "vectors",
    }  # fmt: skip
    assert entries.keys() == names
    assert entries["blend_weight_indexed"] == stated.get("blend_weight_indexed", 0)


def test_layouts_are_told_by_their_files(tmp_path: Path) -> None:
    folders = {
        "Transformers": cross_encoder(tmp_path / "cross", "bert"),
        "PyLate": nested(pylate(tmp_path / "pylate")),
        "Stanford ColBERT": stanford(tmp_path / "stanford"),
        "Sentence Transformers, embedder": sentence_transformer(tmp_path / "embedder"),
        "Model2Vec": static(tmp_path / "static", "plain"),
        "Resift": find_model("resift-mini-en"),
    }
    for name, path in folders.items():
        assert next(layout.name for layout in LAYOUTS if layout.recognises(ModelFolder(path))) == name
    encoder = bge_m3(tmp_path / "m3")
    for extra in ("modules.json", "sentence_bert_config.json"):
        (encoder / extra).unlink()
    assert next(layout.name for layout in LAYOUTS if layout.recognises(ModelFolder(encoder))) == "bge-m3"


COUNTS = """
import collections, sys
opens, folder = collections.Counter(), sys.argv[1]
def count(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) or event == "open" and hasattr(arguments[0], "parts"):
        path = str(arguments[0])
        if path.startswith(folder) and path.endswith(".json"):
            opens[path[len(folder) + 1:]] += 1
sys.addaudithook(count)
from resift.score.load import load_scorer
load_scorer(folder)
print(max(opens.values()), opens["config.json"], sorted(opens))
"""


@pytest.mark.parametrize("make", [lambda path: cross_encoder(path, "bert"), pylate], ids=["cross-encoder", "pylate"])
def test_one_load_reads_each_file_once(tmp_path: Path, make: object) -> None:
    """tokenizer.json too; the tokenizers library then opens it a second time, where Python does not see it."""
    folder = make(tmp_path / "m")  # type: ignore[operator]
    run = subprocess.run([sys.executable, "-c", COUNTS, str(folder)], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("1 1 ['"), run.stdout


class Lengths:
    info = ModelInfo("lengths", ScoreKind.LOGIT)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        texts = [c.document.text for _, c in pairs]
        return Scores.of([len(text) if text.strip() else None for text in texts], self.info)


def failed(scorer: Scorer) -> set[str]:
    return {f.check for f in examine(scorer) if f.status == "fail"}


def test_a_scorer_of_five_lines_goes_through_the_doctor() -> None:
    findings = {f.check: f for f in examine(Lengths())}
    assert findings.keys() == {"finite", "spread", "kind", "invariance", "equal pairs", "empty documents"}
    assert {f.status for f in findings.values()} == {"ok"}


class Positions(Lengths):
    """The score depends on the place in the batch."""

    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([float(i) if c.document.text.strip() else None for i, (_, c) in enumerate(pairs)], self.info)


class Crowded(Lengths):
    """The score depends on the longest neighbour, as one of padding without a mask does."""

    def score(self, pairs: Sequence[Pair]) -> Scores:
        width = max(len(c.document.text) for _, c in pairs)
        texts = [c.document.text for _, c in pairs]
        return Scores.of([len(text) / width if text.strip() else None for text in texts], self.info)


class Constant(Lengths):
    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([0.5 for _ in pairs], self.info)


class ScoresNothing(Lengths):
    """Empty texts get a number."""

    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([len(c.document.text) for _, c in pairs], self.info)


class Unexplained(Lengths):
    """Empty texts get nothing, and no flag."""

    def score(self, pairs: Sequence[Pair]) -> Scores:
        scores = super().score(pairs)
        return Scores(
            tuple(j if j.value is not None else Judgement(None) for j in scores.judgements), scores.kind, "lengths"
        )


class OtherKind(Lengths):
    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of(super().score(pairs).values, ModelInfo("lengths", ScoreKind.COSINE))


class Infinite(Lengths):
    def score(self, pairs: Sequence[Pair]) -> Scores:
        return Scores.of([float("inf") for _ in pairs], self.info)


class GivesUp(Lengths):
    def score(self, pairs: Sequence[Pair]) -> Scores:
        lost = Judgement(None, flags=frozenset({Flag.NON_FINITE}))
        return Scores((lost, *super().score(pairs).judgements[1:]), ScoreKind.LOGIT, "lengths")


@pytest.mark.parametrize(
    ("scorer", "checks"),
    [
        (Positions(), {"invariance", "equal pairs", "empty documents"}),
        (Crowded(), {"invariance"}),
        (Constant(), {"spread"}),
        (ScoresNothing(), {"empty documents"}),
        (Unexplained(), {"empty documents"}),
        (OtherKind(), {"kind"}),
        (Infinite(), {"finite"}),
        (GivesUp(), {"finite"}),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_the_doctor_says_of_a_scorer(scorer: Scorer, checks: set[str]) -> None:
    assert failed(scorer) == checks


def test_a_record_reads_back_what_it_gives() -> None:
    for name in supported():
        record: type[Input] | None = FAMILIES[name].input
        assert record is not None and record.parse(record().entries()) == record()


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": "512"}, {"window_tokens": None}, {"int8": 1}, {"blend_weight": "much"}, {"languages": "en"},
        {"tokens": {"expand": "32"}}, {"tokens": {"query_marker": 3}}, {"skip": 0}, {"tokens": []}, {"golden": {}},
    ],
    ids=str,
)  # fmt: skip
def test_entries_of_a_contract_have_their_types(tmp_path: Path, change: dict[str, object]) -> None:
    contract = json.loads((find_model("resift-mini-en") / "contract.json").read_text())
    (tmp_path / "contract.json").write_text(json.dumps(contract | change))
    with pytest.raises(BrokenModel, match=r"contract\.json is incomplete or malformed"):
        read_contract(tmp_path)


def test_a_truncation_that_there_is_not(tmp_path: Path) -> None:
    contract = read_contract(cross_encoder(tmp_path / "m", "bert")).entries() | {"truncation": "first"}
    (tmp_path / "contract.json").write_text(json.dumps(contract))
    with pytest.raises(BrokenModel, match="truncation is one of only_second, longest_first; not 'first'"):
        read_contract(tmp_path)


def test_settings_of_other_libraries_have_their_types(tmp_path: Path) -> None:
    for folder, entry in (
        (pylate(tmp_path / "a", query_length="16"), "query_length"),
        (pylate(tmp_path / "b", prompts=["query"]), "prompts"),
        (stanford(tmp_path / "c", doc_maxlen="long"), "doc_maxlen"),
    ):
        with pytest.raises(BrokenModel, match=rf"has {entry} .*, which must be "):
            read_contract(folder)


def test_a_list_of_hashes_that_is_no_text(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path / "m", "bert")
    (folder / "SHA256SUMS").write_bytes(b"\xff\xfe")
    with pytest.raises(BrokenModel, match="a line that sha256sum would not write"):
        resift.load(folder)
