"""A pipeline is a value: it prints, parses, and becomes one stage."""

import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from resift import Index, search
from resift.cli.main import app
from resift.errors import InputError
from resift.pipeline import RETRIEVERS, STAGES, Part, Pipeline, Retrieval, read_pipeline, resolved
from resift.rerank.blend import Blend, first_opinion
from resift.rerank.drive import drive
from resift.retrieve.bm25 import BM25Retriever
from resift.types import (
    RECIPROCAL_RANKS,
    Candidate,
    Document,
    ModelInfo,
    Pair,
    Query,
    Ranking,
    Score,
    ScoreKind,
    Scores,
    Signal,
)  # fmt: skip

NAMES = st.text(string.ascii_letters + ' /.-_:+>@()",äß漢', min_size=1).filter(
    lambda name: name not in {*RETRIEVERS, *STAGES} and name.strip() == name
)
MODELS = st.builds(Part, NAMES, st.none() | st.integers(1, 1000))


def some_of(**values: st.SearchStrategy[float] | st.SearchStrategy[str]) -> st.SearchStrategy[tuple[object, ...]]:
    """Any of these parameters, each at most once, in this order."""
    return st.fixed_dictionaries({}, optional=values).map(lambda chosen: tuple(chosen.items()))


BM25 = some_of(k1=st.floats(0, 9), b=st.floats(0, 1)).map(lambda values: Part("bm25", None, values))
DENSE = some_of(model=NAMES).map(lambda values: Part("dense", None, values))
FUSED = some_of(model=NAMES, weight=st.floats(0.001, 0.999), rank_constant=st.floats(0, 99)).map(
    lambda values: Part("dense", None, values)
)
BLENDS = some_of(weight=st.floats(0, 9)).map(lambda values: Part("blend", None, values))
RELEVANT = st.builds(lambda least: Part("relevant", None, least), st.just(()) | st.tuples(
    st.tuples(st.just("least"), st.floats(0.001, 1) | st.sampled_from(["high", "some"]))))  # fmt: skip
WHENS = st.builds(lambda rule: Part("when", None, rule), st.tuples(st.tuples(st.just("rule"), NAMES)) | st.tuples(
    st.tuples(st.just("rule"), NAMES), st.tuples(st.just("deeper"), st.integers(1, 1000))))  # fmt: skip
BOOSTS = st.builds(lambda field: Part("boost", None, (("field", field), ("log", False))), NAMES) | st.builds(
    lambda field: Part("boost", None, (("field", field), ("half_life", "1.5y"))), NAMES)  # fmt: skip
PIPELINES = st.builds(
    Pipeline,
    st.just(()) | st.tuples(BM25) | st.tuples(DENSE) | st.tuples(BM25, FUSED) | st.tuples(FUSED, BM25),
    st.tuples(MODELS)
    | st.tuples(MODELS, BLENDS)
    | st.tuples(MODELS, MODELS, BLENDS)
    | st.just(())
    | st.tuples(MODELS, RELEVANT)
    | st.tuples(WHENS, MODELS)
    | st.tuples(WHENS, MODELS, BLENDS)
    | st.tuples(MODELS, BLENDS, RELEVANT)
    | st.tuples(BOOSTS, MODELS, BLENDS, BOOSTS, BOOSTS, RELEVANT)
    | st.tuples(BOOSTS),
    st.none() | st.integers(1, 99),
    st.booleans(),
)


@given(PIPELINES)
def test_what_is_printed_is_read(pipeline: Pipeline) -> None:
    assert Pipeline.from_toml(pipeline.to_toml()) == pipeline
    if str(pipeline):
        assert Pipeline.parse(str(pipeline)) == pipeline


def test_the_text() -> None:
    pipeline = Pipeline.parse("bm25+dense >>resift-mini-en@100 >> blend( weight=0.5 )>> top 10")
    assert pipeline == Pipeline(
        (Part("bm25"), Part("dense")),
        (Part("resift-mini-en", 100), Part("blend", None, (("weight", 0.5),))),
        10,
    )
    assert str(pipeline) == "bm25 + dense >> resift-mini-en@100 >> blend(weight=0.5) >> top 10"
    assert (pipeline.depth, pipeline.models) == (100, ("resift-mini-en",))
    assert Pipeline.parse("a@20 >> b@5").depth == 20 and Pipeline.parse("a >> top 300").depth == 300
    assert not Pipeline.parse("no guard >> a").guard


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no part"),
        ("bm25 >> >> a", "'' is no part"),
        ("bm25 + sparse >> a", "bm25 or dense; not 'sparse'"),
        ("a >> bm25", "stands in front"),
        ("bm25@5 >> a", "bm25 takes no depth"),
        ("blend >> a", "a blend needs a model"),
        ("a >> blend@5", "blend takes no depth"),
        ("relevant", "a relevant needs a model"),
        ("a >> relevant >> blend", "relevant is the last stage"),
        ("a >> relevant >> relevant", "relevant is the last stage"),
        ("a >> relevant(least=0)", 'above 0 and up to 1, "high" or "some"; not 0'),
        ('a >> relevant(least="none")', "not 'none'"),
        ("a >> relevant(weight=1)", "no parameter 'weight'; it has least"),
        ("a >> blend(weight=-1)", "0 or more; not -1"),
        ("a >> blend(wait=1)", "no parameter 'wait'; it has weight, dense"),
        ("a >> blend(weight=high)", "is no parameter"),
        ("a(b=1)", "a has no parameter 'b'; it has layer"),
        ("a >> blend(weight=1, weight=2)", "has the parameter 'weight' twice"),
        ('a >> boost("date", field="year")', "has the parameter 'field' twice"),
        ("a@0", "1 or more; not 0"),
        ("a >> top 0", "1 or more; not 0"),
        ("a b", "double quotes"),
        ('"a', "double quotes"),
        ("bm25(k1=-1) >> a", "0 or more; not -1"),
        ("bm25(b=1.2) >> a", "from 0 to 1; not 1.2"),
        ("bm25(b=true) >> a", "from 0 to 1; not True"),
        ("bm25(weight=0.2) + dense", "bm25 has no parameter 'weight'; it has k1, b"),
        ("bm25 + dense(weight=0)", "above 0 and below 1"),
        ("dense(weight=0.4) >> a", r"write bm25 \+ dense\(weight=0.4\)"),
        ("dense(rank_constant=60)", r"write bm25 \+ dense"),
        ("bm25 + bm25(k1=1)", "each retriever once"),
        ("bm25 >> a >> blend(dense=0.4)", r"write bm25 \+ dense in front"),
        ("bm25 + dense >> a >> blend(dense=2)", "from 0 to 1; not 2"),
    ],
)
def test_what_is_no_pipeline_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pipeline.parse(text)


@pytest.mark.parametrize("text", ["a", "top = 3", "[[stages]]", "stages = [1]", '[[stages]]\nname = "a"\ndepth = "b"'])
def test_what_is_no_toml_of_a_pipeline(text: str) -> None:
    with pytest.raises(InputError):
        Pipeline.from_toml(text)


class Lengths:
    info = ModelInfo("lengths", ScoreKind.LOGIT, blend_weight=2.0)

    def score(self, pairs: list[Pair]) -> Scores:
        return Scores.of([len(c.document.text) for _, c in pairs], self.info)


def test_a_pipeline_runs_as_one_stage() -> None:
    ranking = Ranking.unscored(Query("q"), [Document(str(i), "x" * i) for i in (1, 3, 2, 9)])
    stage = Pipeline.parse("lengths@3 >> blend(weight=100) >> top 2").stage({"lengths": Lengths()}.__getitem__)
    (result,) = drive(stage, [ranking])
    assert [c.document.id for c in result] == ["3", "2", "1", "9"]
    assert [step.name for step in result.trace.steps] == ["lengths", "blend"]


def test_the_embedder_of_a_retriever() -> None:
    pipeline = Pipeline.parse('bm25 + dense(model="BAAI/bge-small-en-v1.5") >> resift-mini-en@50')
    assert pipeline.embedder == "BAAI/bge-small-en-v1.5" and Pipeline.parse("bm25 + dense").embedder == ""
    assert Pipeline.parse(str(pipeline)) == pipeline == Pipeline.from_toml(pipeline.to_toml())
    for wrong in ('bm25(model="a")', "dense(model=2)", 'dense(model="")', "bm25 + dense(weight=1)"):
        with pytest.raises(InputError, match="model|weight"):
            Pipeline.parse(wrong)
    with pytest.raises(InputError, match="an index has the embedder that it was made with"):
        Index.of(["a lamp"]).run('dense(model="other")', "lamp")


BLENDED = st.builds(
    lambda first, model, values: Pipeline(first, (model, Part("blend", None, values))),
    st.just(()) | st.tuples(BM25, FUSED),
    MODELS,
    some_of(weight=st.floats(0, 9), dense=st.floats(0, 1)),
)


@given(BLENDED)
def test_the_vectors_weight_in_a_blend_is_printed_and_read(pipeline: Pipeline) -> None:
    assert Pipeline.from_toml(pipeline.to_toml()) == pipeline == Pipeline.parse(str(pipeline))


def test_what_the_retrievers_say() -> None:
    retrieval = Pipeline.parse('bm25(k1=1.2, b=0.5) + dense(model="m", weight=0.4, rank_constant=20)').retrieval
    assert retrieval == Retrieval(("bm25", "dense"), 1.2, 0.5, "m", 0.4, 20)
    fusion = retrieval.fusion(0.0)
    assert (fusion.k, fusion.weights) == (20, (0.6, 0.4))
    assert Retrieval().fusion(0.0).weights is None and Retrieval().fusion(0.0).k == 60
    usual = Pipeline.parse("bm25 + dense(weight=0.4)").retrieval.fusion(0.2)
    assert (usual.k, usual.weights) == (10, (0.6, 0.4))
    even = Pipeline.parse("bm25 + dense(weight=0.5, rank_constant=60)").retrieval.fusion(0.2)
    assert (even.k, even.weights) == (60, None)


def test_a_pipeline_from_text_file_and_folder(tmp_path: Path) -> None:
    text = "bm25(k1=1.2) + dense(weight=0.4) >> m@50 >> blend(weight=2, dense=0.3)"
    pipeline = Pipeline.parse(text)
    (tmp_path / "pipeline.toml").write_text(pipeline.to_toml())
    for written in (pipeline, text, tmp_path, str(tmp_path / "pipeline.toml")):
        assert read_pipeline(written) == pipeline
    (tmp_path / "model").mkdir()  # a model's folder is the text of a pipeline
    assert read_pipeline(str(tmp_path / "model")).models == (str(tmp_path / "model"),)
    with pytest.raises(InputError, match=r"none.toml can't be read \(No such file"):
        read_pipeline(tmp_path / "none.toml")
    (tmp_path / "pipeline.toml").write_text("depth = 3")
    with pytest.raises(InputError, match=r"pipeline.toml: a pipeline has no entry 'depth'"):
        read_pipeline(tmp_path)
    with pytest.raises(InputError, match="not of type int"):
        read_pipeline(3)  # type: ignore[arg-type]


def candidate(name: str, lexical: float | None, cosine: float | None) -> Candidate:
    signals = [Signal(RECIPROCAL_RANKS, 1, Score(0.1, ScoreKind.FUSED, RECIPROCAL_RANKS))]
    for kind, value in ((ScoreKind.BM25, lexical), (ScoreKind.COSINE, cosine)):
        signals += [] if value is None else [Signal(str(kind), 1, Score(value, kind, str(kind)))]
    return Candidate(Document(name, name), None, tuple(signals))


def test_an_opinion_of_weighed_scores_by_hand() -> None:
    """z of (4, 2, 2) is (1.414, -0.707, -0.707), the lowest score where one is missing; of (0, 1, 0.5) ±1.225 and 0."""
    candidates = [candidate("a", 4.0, 0.0), candidate("b", 2.0, 1.0), candidate("c", None, 0.5)]
    lexical, cosine = [2**0.5, -(0.5**0.5), -(0.5**0.5)], [-(1.5**0.5), 1.5**0.5, 0.0]
    for dense in (0.0, 0.3, 0.5, 1.0):
        expected = [(1 - dense) * x + dense * y for x, y in zip(lexical, cosine, strict=True)]
        assert first_opinion(candidates, dense) == pytest.approx(expected)
    assert first_opinion(candidates) == pytest.approx(first_opinion(candidates, 0.5))
    alone = [candidate("a", 4.0, None), candidate("b", 2.0, None)]
    assert first_opinion(alone, 0.9) == pytest.approx([1.0, -1.0])
    ranks = Ranking.unscored(Query("q"), [Document(str(i), "x") for i in range(3)]).candidates
    assert first_opinion(ranks, 0.9) == first_opinion(ranks)
    with pytest.raises(ValueError, match="from 0 to 1"):
        Blend("m", 1.0, dense=1.5)


def test_a_rule_tells_blends_apart() -> None:
    info = ModelInfo("m", ScoreKind.LOGIT, blend_weight=2.0)
    texts = [resolved(Pipeline.parse(f"m@5 >> blend{values}").stages, [info]) for values in ("", "(dense=0.25)")]
    assert texts == ["m@5 >> blend(weight=2)", "m@5 >> blend(weight=2, dense=0.25)"]


DOCUMENTS = ["lamp lamp lamp lamp", "lamp and a very long text about rivers", "a harbour", "a ferry"]


def test_an_index_in_memory_obeys_a_pipeline() -> None:
    usual = Index.of(DOCUMENTS, False)
    flat = Index.of(DOCUMENTS, pipeline="bm25(k1=0.000001, b=0)")
    values = [float(c.score or 0) for c in flat.run("bm25", "lamp")]
    assert values[0] == pytest.approx(values[1], abs=1e-4)  # a word counts once, in short and long texts
    assert isinstance(flat.retriever, BM25Retriever)  # no vectors were asked for
    assert flat.run("bm25(b=0)", "lamp").candidates == flat.run("bm25", "lamp").candidates
    with pytest.raises(InputError, match=r"BM25 with k1=1.5 and b=0.75, .* asks for k1=1.2 and b=0.75; index again"):
        usual.run("bm25(k1=1.2)", "lamp")
    both = Index.of(DOCUMENTS)
    few = both.run("bm25 + dense(weight=0.9, rank_constant=3)", "lamp")
    assert [s.source for s in few[0].signals][0] == f"weighted_{RECIPROCAL_RANKS}"
    assert float(few[0].score or 0) == pytest.approx(1 / 4)  # both have it first
    with pytest.raises(InputError, match="the pipeline names the embedder m, not resift-static-en"):
        Index.of(DOCUMENTS, "resift-static-en", 'dense(model="m")')
    named = both.run('bm25 + dense(model="resift-static-en")', "lamp")
    assert named.candidates == both.run("bm25 + dense", "lamp").candidates


def test_a_search_of_files_by_a_pipeline(tmp_path: Path) -> None:
    for i, text in enumerate(DOCUMENTS):
        (tmp_path / f"{i}.txt").write_text(text)
    ranking = search("lamp", tmp_path, pipeline="bm25(k1=0.5) >> top 1")
    assert [c.document.text for c in ranking] == DOCUMENTS[:1]
    assert len(search("lamp", tmp_path, top_k=1, pipeline="bm25")) == 1


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """Four files, an index of them with BM25 of its own, and a folder as `resift tune` writes it."""
    for name in ("docs", "tuned"):
        (tmp_path / name).mkdir()
    for i, text in enumerate(DOCUMENTS):
        (tmp_path / "docs" / f"{i}.txt").write_text(text)
    (tmp_path / "tuned" / "pipeline.toml").write_text(Pipeline.parse("bm25(k1=0.5) + dense(weight=0.6)").to_toml())
    made = CliRunner().invoke(
        app, ["index", str(tmp_path / "docs"), "-o", str(tmp_path / "i"), "--pipeline", str(tmp_path / "tuned")]
    )
    assert made.exit_code == 0, made.output
    return tmp_path


def test_searches_of_files_and_of_an_index_take_the_same_pipeline(places: Path) -> None:
    answers = []
    for where in ([str(places / "docs")], ["--index", str(places / "i")]):
        command = ["search", "lamp", *where, "--pipeline", str(places / "tuned"), "--top", "2", "--json"]
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.output
        answers.append([(r["id"], r["score"]["value"]) for r in json.loads(result.output)["results"]])
    assert answers[0] == answers[1] and len(answers[0]) == 2
    expected = Index.open(places / "i").run(places / "tuned", "lamp").top(2)
    assert answers[0] == [(c.document.id, c.score and c.score.value) for c in expected]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--depth", "3"], "a pipeline says what --depth says; leave one of the two out"),
        (["--no-blend"], "what --blend says"),
        (["--min-relevance", "0.5"], "what --min-relevance says"),
        (["--embedder", "a"], "what --embedder says"),
        (["--pipeline", "bm25(k1=2)"], "asks for k1=2 and b=0.75; index again with the pipeline"),
    ],
)
def test_what_a_pipeline_says_is_said_once(places: Path, options: list[str], message: str) -> None:
    command = ["search", "lamp", "--index", str(places / "i"), "--pipeline", str(places / "tuned"), *options]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, InputError) and message in str(result.exception)
