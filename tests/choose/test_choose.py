"""Choices by needs, by what was measured, and by what was published."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from typer.testing import CliRunner

from resift.choose import Needs, UserSample, candidates, choose
from resift.choose import choice as choice_module
from resift.choose.candidates import ModelCandidate
from resift.choose.measuring import Measured
from resift.choose.sample import frequent
from resift.choose.text_costs import text_costs
from resift.cli.main import app
from resift.errors import InputError, ModelError
from resift.evaluate.document_store import DocumentStore
from resift.evaluate.statistics import Estimate
from resift.models.hub import cached
from resift.models.registry import CheckpointRow
from resift.score.load import BUNDLED
from resift.types import Document, Query
from tests.checkpoints import cross_encoder
from tests.evaluate.small import collection

EN = Needs(("en",))
MINI = BUNDLED / "resift-mini-en"


def reasons(needs: Needs) -> dict[str, tuple[str, ...]]:
    return {c.row.id: c.reasons for c in candidates(needs)}


def test_needs_refuse_with_their_reason() -> None:
    free = reasons(Needs())
    assert free["resift-mini-en"] == () and "resift-static-en" not in free
    assert any(r == ("family listwise: not loaded yet",) for r in free.values())
    assert reasons(Needs(("en", "vi")))["resift-mini-en"] == ("does not name vi",)
    assert reasons(Needs(("en",), max_tokens=1024))["resift-mini-en"] == ("window 512",)
    small = reasons(Needs(("en",), memory=1_000_000))["resift-mini-en"]
    assert small[0].startswith("weights ") and small[0].endswith(" MB")
    restricted = reasons(Needs(commercial=True))
    assert any(reason.startswith("licence cc-by-nc") for r in restricted.values() for reason in r)
    assert all(not r[0].startswith("licence") for r in free.values() if r)


def test_a_model_that_is_named_takes_part(tmp_path: Path) -> None:
    folder = str(cross_encoder(tmp_path / "mine", "bert"))
    (mine, *others) = candidates(Needs(("vi",), commercial=True, models=(folder,)))
    assert (mine.row.id, mine.named, mine.weights, mine.reasons) == (folder, True, True, ())
    assert mine.weight_bytes == (tmp_path / "mine" / "model.safetensors").stat().st_size
    assert not any(c.named for c in others)
    twice = [c.row.id for c in candidates(Needs(models=("resift-mini-en",)))]
    assert twice.count("resift-mini-en") == 1
    with pytest.raises(ModelError):
        candidates(Needs(models=("resift-static-en",)))


def test_what_the_hub_cache_has_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    name = "cross-encoder/ms-marco-MiniLM-L6-v2"
    assert cached(name) is None
    repository = tmp_path / "models--cross-encoder--ms-marco-MiniLM-L6-v2"
    snapshot = cross_encoder(repository / "snapshots" / ("a" * 40), "bert")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    assert cached(name) == snapshot
    (candidate,) = (c for c in candidates(EN) if c.row.id == name)
    assert candidate.folder == snapshot and candidate.weights
    (snapshot / "model.safetensors").unlink()
    (candidate,) = (c for c in candidates(EN) if c.row.id == name)
    assert candidate.folder == snapshot and not candidate.weights


def test_tokens_and_windows() -> None:
    texts = ["the ferry leaves at nine and it is blue", "das ist die Lampe und sie ist nicht an", "word " * 600]
    documents = DocumentStore(Document(f"d{i}", text) for i, text in enumerate(texts))
    sample = UserSample((Query("when does it leave", "q"),), documents)
    costs = text_costs(MINI, sample, 300)
    tokenizer = Tokenizer.from_file(str(MINI / "tokenizer.json"))
    tokenizer.no_padding()
    counts = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
    assert costs.tokens_per_character["de"] == pytest.approx(counts[1] / len(texts[1]))
    assert set(costs.over) == {256, 300, 512, 1024, 2048, 4096, 8192}
    assert costs.over[256] == costs.over[512] == pytest.approx(1 / 3) and costs.over[1024] == 0
    assert sample.by_language().keys() == {"en", "de", ""}


def test_languages_of_a_tenth_count() -> None:
    assert frequent({"en": 10, "de": 89, "vi": 1}) == ("de", "en")
    assert frequent({}) == ()


def made(name: str, **facts: object) -> ModelCandidate:
    row = CheckpointRow(name, "encoder", "bert", "logit", {"facts": "card"}, languages=("en",), commercial="yes")
    return ModelCandidate(replace(row, **facts), MINI, True)  # type: ignore[arg-type]


def result(quality: float, low: float, ms: float) -> Measured:
    return Measured(Estimate(quality, 0, 1), Estimate(quality - 0.5, low, 1), ms, ms, "native")


@pytest.fixture
def sample() -> UserSample:
    return UserSample.of(collection())


@pytest.mark.parametrize(
    ("results", "ms", "name", "words"),
    [
        ({"a": result(0.7, 0.1, 10), "b": result(0.6, 0.05, 5)}, None, "a", "for en use a (nDCG@10 0.700 on your"),
        ({"a": result(0.7, 0.1, 10), "b": result(0.6, 0.05, 5)}, 7, "b", "for en use b"),
        ({"a": result(0.7, 0.1, 10), "b": result(0.7, 0.1, 5)}, None, "b", "5 ms per query here"),
        ({"a": result(0.7, -0.1, 10), "b": result(0.6, 0.05, 5)}, None, None, "keep the first stage"),
        ({"a": result(0.7, 0.1, 10), "b": result(0.6, 0.05, 5)}, 1, None, "no reranker meets these needs"),
    ],
)
def test_what_was_measured_decides(
    monkeypatch: pytest.MonkeyPatch,
    sample: UserSample,
    results: dict[str, Measured],
    ms: float | None,
    name: str | None,
    words: str,
) -> None:
    monkeypatch.setattr(choice_module, "candidates", lambda needs: [made("a"), made("b")])
    monkeypatch.setattr(choice_module, "measure", lambda *_: {"": result(0.5, 0, 1), **results})
    choice = choose(replace(EN, ms=ms), sample)
    assert (choice.recommended.row.id if choice.recommended else None) == name
    assert words in choice.sentence
    slow = [c.row.id for c in choice.candidates if c.reasons]
    assert slow == [n for n in ("a", "b") if ms is not None and results[n].ms_p95 > ms]


def test_without_a_sample_what_was_published_decides() -> None:
    choice = choose(Needs(("sw",), commercial=True))
    assert choice.recommended is not None and choice.recommended.row.commercial == "yes" and not choice.measured
    assert "without judgements, by what was published: " in choice.sentence and "(source: " in choice.sentence
    assert "not measured here: its weights are not" in choice.sentence and choice.candidates[0] == choice.recommended
    bundled = choose(EN).sentence
    assert "which is bundled" in bundled and "not measured here; " in bundled
    with pytest.raises(InputError, match="in which language are the texts"):
        choose(Needs())


@pytest.fixture
def data(tmp_path: Path) -> list[str]:
    documents = [
        {"id": f"d{i}", "text": f"The ferry {i} leaves at {w} for the island."}
        for i, w in enumerate("nine ten noon".split())
    ]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, documents)))
    (tmp_path / "q.txt").write_text("what leaves at nine\nwhat leaves at noon\n")
    return ["--queries", str(tmp_path / "q.txt"), "--documents", str(tmp_path / "d.jsonl")]


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["choose", *arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_the_command_without_judgements(data: list[str], tmp_path: Path) -> None:
    folder = str(cross_encoder(tmp_path / "mine", "bert"))
    value = json.loads(run(*data, "--model", folder, "--depth", "3", "--json"))
    assert value["recommended"] == "resift-mini-en" and value["needs"]["languages"] == ["en"]
    status = {m["name"]: m["status"] for m in value["models"]}
    assert status[folder] == status["resift-mini-en"] == "measured" and "published only" in status.values()
    mine = next(m for m in value["models"] if m["name"] == folder)
    assert mine["measured"]["ms_p95"] >= mine["measured"]["ms_p50"] > 0 and "quality" not in mine["measured"]
    assert mine["over_window"]["64"] == 0 and mine["tokens_per_character"]["en"] > 0
    assert "null" not in json.dumps(value) and value["first_stage"]["ms_p50"] > 0
    assert all(r["reasons"] for r in value["refused"])


def test_the_command_with_judgements(data: list[str], tmp_path: Path) -> None:
    (tmp_path / "qrels.txt").write_text("q1 0 d0 1\nq2 0 d2 1\n")
    lines = [
        json.dumps({"_id": f"q{i}", "text": t}) for i, t in ((1, "what leaves at nine"), (2, "what leaves at noon"))
    ]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    shown = run(
        "--queries", str(tmp_path / "q.jsonl"), *data[2:], "--qrels", str(tmp_path / "qrels.txt"), "--depth", "3"
    )
    first, *rest = shown.splitlines()
    assert first.startswith("for en ") and "first stage" in first
    text = "\n".join(rest)
    assert "Measured on your sample" in text and "no reranker" in text and "Published only" in text
    assert "don't meet the needs" in text and "source: " in text


def test_refusals(data: list[str]) -> None:
    for arguments, message in (
        (data[:2], "name both"),
        (["--lang", "klingon"], "is no code"),
        (["--lang", "en", "--max-memory", "lots"], "is no size"),
    ):
        result = CliRunner().invoke(app, ["choose", *arguments])
        assert isinstance(result.exception, (InputError, ModelError)) and message in str(result.exception)
