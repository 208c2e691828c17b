"""An embedder is measured by a search, learns from its negatives, and is the same for both libraries when written."""

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from resift.cli.main import app
from resift.errors import BrokenModel, InputError, UnknownFamily
from resift.evaluate import Dataset, named_measures
from resift.protocols import Role
from resift.score.load import load_embedder
from resift.train.examples import Labelled
from resift.train.neural import saving
from resift.train.neural.dry_run import dry_run
from resift.train.neural.embedder import TRAINABLE, prompts_of
from resift.train.neural.losses import LossSettings
from resift.train.neural.plan import Plan, make_plan
from resift.train.neural.ranking_lists import Pool, measured, of_dataset
from resift.train.neural.run import train
from resift.train.neural.settings import TrainingSettings
from resift.train.neural.vector_losses import EMBEDDER_LOSSES
from resift.types import Document, Query
from tests.train.neural import tiny

TEXTS = [("what is the water", "the lamp of the city"), ("what is the water", "the ferry of the city")]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_bert(tmp_path_factory.mktemp("bert"), head=False)


@pytest.fixture(scope="module")
def prompted(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedder of sentence-transformers that pools the first token behind prompts, and projects."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    torch.manual_seed(4)
    parts = [Transformer(str(bare)), Pooling(32, "cls"), Dense(32, 16), Normalize()]
    model = SentenceTransformer(modules=parts, prompts={"query": "how ", "document": "the "}, device="cpu")
    folder = tmp_path_factory.mktemp("prompted") / "model"
    model.save(str(folder), create_model_card=False)
    return folder


def settings(base: Path, **changes: object) -> TrainingSettings:
    values = {
        "task": "embedder", "learning_rate": 3e-3, "epochs": 4.0, "evaluations": 3, "precision": "f32", "warmup": 0.0,
        "batch": 32, "negatives": 1, **changes,
    }  # fmt: skip
    return TrainingSettings(str(base), **values)  # type: ignore[arg-type]


def by_city(count: int = 60) -> list[tuple[str, str, str]]:
    """A query asks for a thing of a city, the positive names both, the negative another thing of that city."""
    rng = random.Random(3)
    words = tiny.FILLERS[8:] + ["lamp", "ferry"]
    rows = []
    for n in range(count):
        thing, other = rng.sample(words, 2)
        rows.append((f"how much {thing} is in the {n}", f"{thing} {thing} {n}", f"{other} {other} {n}"))
    return rows


def plan_of(base: Path, **changes: object) -> Plan:
    from resift.train.data import examples_of

    rows = [{"query": q, "positive": p, "negative": n} for q, p, n in by_city()]
    return make_plan([examples_of(rows)], settings(base, **changes))


def test_the_model_that_was_trained_is_one_of_both_libraries(bare: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    report = train(plan_of(bare), tmp_path / "out")
    row = report.comparisons[0]
    assert report.out and row.measure == "nDCG@10" and row.trained > row.base
    assert set(report.reload_delta) == {"sentence-transformers", "resift"}
    assert max(report.reload_delta.values()) < 1e-4
    assert any("a bare encoder" in note for note in report.notes)
    theirs, ours = SentenceTransformer(str(tmp_path / "out")), load_embedder(str(tmp_path / "out"), "f32")
    texts = [document for _, document in TEXTS]
    expected = theirs.encode_document(texts, normalize_embeddings=True, show_progress_bar=False)
    assert ours.embed(texts, "document") == pytest.approx(expected, abs=1e-4)
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert card.startswith("# An embedder") and "| BM25 |" in card and "over BM25" in card


def test_prompts_stand_before_texts_in_training_and_in_what_is_written(prompted: Path, tmp_path: Path) -> None:
    plan = plan_of(prompted)
    base = TRAINABLE.open(plan, "f32")
    assert prompts_of(base.model) == ("how ", "the ")
    assert base.prompts == {"query": "how ", "positive": "the ", "negative_1": "the "}
    seen = TRAINABLE.seen(base.model, ("water", "lamp"))
    assert (seen.text, seen.tokens, seen.cut) == ("[CLS] how water [SEP] | [CLS] the lamp [SEP]", 8, 0)
    assert max(saving.write(base, tmp_path / "out", TEXTS, {}).values()) < 1e-4
    ours = load_embedder(str(tmp_path / "out"), "f32")
    roles: tuple[tuple[Role, int], ...] = (("query", 0), ("document", 1))
    q, d = (ours.embed([pair[side] for pair in TEXTS], role) for role, side in roles)
    assert base.score(TEXTS) == pytest.approx((q * d).sum(axis=1), abs=1e-4)


def test_a_folder_that_embeds_otherwise_is_not_left_behind(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from resift.train.neural import embedder

    base = TRAINABLE.open(plan_of(bare), "f32")
    real = embedder.resift_vectors
    monkeypatch.setattr(embedder, "resift_vectors", lambda *a: real(*a) + 0.1)
    with pytest.raises(BrokenModel, match="loaded by resift its scores differ by 0.1"):
        saving.write(base, tmp_path / "out", TEXTS, {})
    assert list(tmp_path.iterdir()) == []


def test_an_embedder_searches_the_corpus() -> None:
    """Not BM25's candidates: a document that shares no word with the query can be found."""
    rng = random.Random(1)
    positive = tiny.candidate(rng, 1.0)
    asked = tiny.query(1, (positive, tiny.candidate(rng, 0.0)), text="zzz unheard of")
    others = [tiny.query(n, (tiny.candidate(rng, 1.0),)) for n in range(2, 9)]
    lists = Pool([asked, *others]).lists("dev", [asked], 100, "corpus")
    (item,) = lists.lists
    assert len(item.documents) == 9 and lists.first_stage == "a search over 9 documents"
    scores = np.array([text == positive.document.text for text in item.documents], float)
    (measure,) = named_measures.parse(["RR@10"])
    assert measured(lists, [measure], scores)["RR@10"].tolist() == [1.0]


def test_a_large_corpus_is_cut_to_what_is_judged_and_what_bm25_finds() -> None:
    documents = [Document("hit", "lamp oil"), *(Document(f"n{i}", f"bread {i}") for i in range(30))]
    documents += [Document("judged", "nothing shared")]
    data = Dataset.of([Query("lamp", "q")], documents, {"q": {"judged": 1}}, name="data")
    lists = of_dataset(data, 4, "corpus")
    (item,) = lists.lists
    assert item.documents[:2] == ("lamp oil", "nothing shared") and len(item.documents) == 4
    assert item.grades == {1: 1} and lists.first_stage == "a search over 4 of 32 documents"


def test_the_contrast_is_the_softmax_of_cosines(bare: Path) -> None:
    base = TRAINABLE.open(plan_of(bare), "f32")
    base.model.eval()
    queries, positives, negatives = (list(column) for column in zip(*by_city(4), strict=True))
    features = [base.model.preprocess(texts) for texts in (queries, positives, negatives)]
    for name in ("mnrl", "cached-mnrl"):
        loss = EMBEDDER_LOSSES[name].make(base.model, LossSettings(), False)([dict(f) for f in features], None)
        scores = base.score([(q, d) for q in queries for d in (*positives, *negatives)]).reshape(4, 8)
        logits = torch.from_numpy(scores) * 20
        expected = torch.nn.functional.cross_entropy(logits, torch.arange(4))
        assert float(loss.detach()) == pytest.approx(float(expected), abs=1e-4)


def test_margins_are_those_of_the_teacher(bare: Path) -> None:
    base = TRAINABLE.open(plan_of(bare), "f32")
    base.model.eval()
    queries, positives, negatives = (list(column) for column in zip(*by_city(2), strict=True))
    features = [base.model.preprocess(texts) for texts in (queries, positives, negatives)]
    teacher = torch.tensor([[5.0, 1.0], [2.0, 3.0]])
    loss = EMBEDDER_LOSSES["margin-mse"].make(base.model, LossSettings(), False)(features, teacher)
    above, below = (base.score(list(zip(queries, texts, strict=True))) for texts in (positives, negatives))
    ours = 20 * (above - below)
    assert float(loss.detach()) == pytest.approx(float(np.mean((ours - np.array([4.0, -1.0])) ** 2)), rel=1e-3)


def test_margins_can_be_asked_for_and_the_contrast_is_the_rule(bare: Path) -> None:
    data = tiny.examples(labels=(1.0, 0.0, 0.0), teacher=(3.0, -1.0, 0.5))
    plan = make_plan([data], settings(bare))
    assert plan.sets[0].loss.name == "mnrl" and "stand against" in plan.sets[0].reason
    plan = make_plan([data], settings(bare, losses=("margin-mse",), epochs=1.0, force=True, evaluations=1))
    look = dry_run(plan)
    assert look.loss > 0 and set(look.before) == {"BM25", "base"} and "a search over" in look.first_stage
    with pytest.raises(InputError, match="'lambda' is no loss; there are mnrl, cached-mnrl, margin-mse"):
        make_plan([data], settings(bare, losses=("lambda",)))


def test_what_an_embedder_can_not_use_is_refused(bare: Path) -> None:
    weighted = tiny.examples(weights=(2.0, 0.5, 1.0, 0.5))
    with pytest.raises(InputError, match="no loss fits the data: mnrl: .* weights, which it does not use"):
        make_plan([weighted], settings(bare))
    with pytest.raises(InputError, match="adapters are trained in rerankers"):
        settings(bare, lora=4)
    with pytest.raises(InputError, match="a cross-encoder can't rank the whole corpus"):
        settings(bare, task="reranker", candidates="corpus")
    with pytest.raises(InputError, match="'sparse' is nothing that is trained"):
        settings(bare, task="sparse")
    with pytest.raises(BrokenModel, match="no weights that torch can train|no config.json"):
        TRAINABLE.open(plan_of(Path("resift-static-en")), "f32")


def test_a_model_that_pools_nothing_is_refused(bare: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer

    SentenceTransformer(modules=[Transformer(str(bare))]).save(str(tmp_path / "odd"), create_model_card=False)
    with pytest.raises(UnknownFamily, match="does not pool"):
        TRAINABLE.open(plan_of(tmp_path / "odd"), "f32")


def test_an_embedder_may_be_worse_than_bm25_but_not_than_its_base(bare: Path) -> None:
    from resift.train.neural.report import compare, refusals
    from resift.train.neural.tasks import task_of

    half, zero, full = (np.full((4,), value) for value in (0.5, 0.0, 1.0))
    (row,) = compare("dev", {"first stage": {"R@10": full}, "base": {"R@10": zero}, "trained": {"R@10": half}})
    assert refusals(row, task_of("embedder")) == []
    assert refusals(row, task_of("reranker")) == ["R@10 on dev is worse than no reranker by 0.5000"]
    worse = dataclasses.replace(row, over_base=row.over_first_stage)
    assert "worse than the base model" in refusals(worse, task_of("embedder"))[0]


def test_the_command(bare: Path, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps({"query": q, "positive": p, "negative": n}) for q, p, n in by_city()))
    common = ["train", "embedder", str(path), "--base", str(bare), "--precision", "f32", "--lr", "3e-3"]
    result = CliRunner().invoke(app, [*common, "--dry-run"])
    assert result.exit_code == 0 and "Loss mnrl" in result.stdout and "a search over" in result.stdout
    more = ["--epochs", "3", "--evaluations", "2", "--measure", "R@10", "-o", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(app, [*common, *more], catch_exceptions=False)
    report = json.loads(result.stdout)
    assert "widget" not in result.stderr and "%|" not in result.stderr
    assert result.exit_code == 0 and report["task"] == "embedder" and report["comparisons"][0]["measure"] == "R@10"
    assert load_embedder(str(tmp_path / "out")).dims == 32


def test_one_candidate_alone_is_enough(bare: Path) -> None:
    """Positives without negatives: the documents of other queries are the negatives."""
    data = tiny.examples()
    alone = tuple(dataclasses.replace(q, candidates=(Labelled(q.candidates[0].document, 1.0),)) for q in data.queries)
    plan = make_plan([dataclasses.replace(data, queries=alone)], settings(bare))
    assert list(plan.sets[0].rows.columns) == ["query", "positive"] and "positives alone" in plan.sets[0].reason


@pytest.mark.parametrize(("task", "scale"), [("embedder", 20.0), ("late", 30.0), ("reranker", 1.0)])
def test_cosines_of_a_teacher_are_multiplied_as_those_of_the_model_are(task: str, scale: float) -> None:
    settings = TrainingSettings("base", task, ("margin-mse",), negatives=1)
    cosines = make_plan([tiny.examples(60, teacher=(0.5, 0.25, 0.25, 0.25))], settings)
    assert cosines.sets[0].rows.columns["label"][0] == [0.5 * scale, 0.25 * scale]
    assert any("are multiplied by" in note for note in cosines.notes) == (scale > 1)
    logits = make_plan([tiny.examples(60, teacher=(4.0, -1.0, -1.0, -1.0))], settings)
    assert logits.sets[0].rows.columns["label"][0] == [4.0, -1.0]
