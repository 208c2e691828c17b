"""A pipeline is a value: it prints, parses, and becomes one stage."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resift import Index
from resift.errors import InputError
from resift.pipeline import RETRIEVERS, STAGES, Part, Pipeline
from resift.rerank.drive import drive
from resift.types import Document, ModelInfo, Pair, Query, Ranking, ScoreKind, Scores

NAMES = st.text(string.ascii_letters + ' /.-_:+>@()",äß漢', min_size=1).filter(
    lambda name: name not in {*RETRIEVERS, *STAGES} and name.strip() == name
)
MODELS = st.builds(Part, NAMES, st.none() | st.integers(1, 1000))
BLENDS = st.builds(lambda weight: Part("blend", None, weight), st.just(()) | st.tuples(
    st.tuples(st.just("weight"), st.floats(0, 9))))  # fmt: skip
RELEVANT = st.builds(lambda least: Part("relevant", None, least), st.just(()) | st.tuples(
    st.tuples(st.just("least"), st.floats(0.001, 1) | st.sampled_from(["high", "some"]))))  # fmt: skip
WHENS = st.builds(lambda rule: Part("when", None, rule), st.tuples(st.tuples(st.just("rule"), NAMES)) | st.tuples(
    st.tuples(st.just("rule"), NAMES), st.tuples(st.just("deeper"), st.integers(1, 1000))))  # fmt: skip
BOOSTS = st.builds(lambda field: Part("boost", None, (("field", field), ("log", False))), NAMES) | st.builds(
    lambda field: Part("boost", None, (("field", field), ("half_life", "1.5y"))), NAMES)  # fmt: skip
PIPELINES = st.builds(
    Pipeline,
    st.lists(st.sampled_from([Part(name) for name in RETRIEVERS]), unique=True, max_size=2).map(tuple),
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
        ("a >> blend(wait=1)", "no parameter 'wait'; it has weight"),
        ("a >> blend(weight=high)", "is no parameter"),
        ("a(b=1)", "a has no parameter 'b'; it has none"),
        ("a@0", "1 or more; not 0"),
        ("a >> top 0", "1 or more; not 0"),
        ("a b", "double quotes"),
        ('"a', "double quotes"),
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
    for wrong in ('bm25(model="a")', "dense(model=2)", 'dense(model="")', "dense(weight=1)"):
        with pytest.raises(InputError, match="model|weight"):
            Pipeline.parse(wrong)
    with pytest.raises(InputError, match="an index has the embedder that it was made with"):
        Index.of(["a lamp"]).run('dense(model="other")', "lamp")
