"""A learned stage from data to serving: one code path of features, a folder that loads, notes, explanations."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import resift
from resift import Index
from resift.errors import BrokenModel, InputError, NotAModel
from resift.evaluate import Dataset, EvaluationOptions, evaluate
from resift.features import FEATURES_FILE, FeatureSet
from resift.pipeline import Pipeline
from resift.rerank.drive import drive
from resift.rerank.explanation import reasons, sentence
from resift.rerank.learned import Learned, LearnedModel, open_learned
from resift.rerank.training_summary import TRAINING_FILE, TrainingSummary
from resift.reranker import LearnedReranker
from resift.train.ltr.dataset_rows import DataOptions, RankedData, groups_of, rows_of
from resift.train.ltr.folder import write_folder
from resift.train.ltr.out_of_fold import query_hash
from resift.train.ltr.page import as_html
from resift.train.ltr.rows import checked_rows
from resift.train.ltr.settings import TreeSettings
from resift.train.ltr.train import TrainedLtr, TrainOptions, train_ltr
from resift.types import Candidate, Document, NoteCode, Query, Ranking, ScoreKind, Signal
from tests.train.small_data import small_data

OPTIONS = DataOptions("bm25", 30, cache=False)
QUICK = TrainOptions(TreeSettings(least_rows=5, learning_rate=0.1, leaves=7), search=False, folds=2, ablate=True)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return small_data()


@pytest.fixture(scope="module")
def ranked(data: Dataset) -> RankedData:
    return rows_of(data, OPTIONS)


@pytest.fixture(scope="module")
def trained(ranked: RankedData) -> TrainedLtr:
    result = train_ltr(ranked.rows, QUICK, groups_of(ranked.features), ranked.features.directions)
    return replace(result, facts=ranked.facts)


@pytest.fixture(scope="module", params=["lightgbm", "xgboost"])
def folder(request: pytest.FixtureRequest, ranked: RankedData, trained: TrainedLtr, tmp_path_factory) -> Path:  # noqa: ANN001
    path: Path = tmp_path_factory.mktemp("models") / f"order-{request.param}"
    result = trained
    if request.param == "xgboost":
        settings = replace(QUICK.settings, library="xgboost")
        result = replace(train_ltr(ranked.rows, replace(QUICK, settings=settings, ablate=False)), facts=ranked.facts)
    write_folder(path, result, ranked.features, ranked.statistics, str(ranked.pipeline))
    return path


@pytest.fixture
def index(data: Dataset) -> Index:
    return Index.of(list(data.documents), embedder=False)


def served(folder: Path, ranking: Ranking, explain: bool = False) -> Ranking:
    return drive(Learned(open_learned(folder), None, explain), [ranking])[0]


def test_rows_are_candidates_with_the_labels_of_judgements(data: Dataset, ranked: RankedData) -> None:
    rows = ranked.rows
    assert {"score(bm25)", "rank(bm25)", "number(likes)", "coverage"} <= set(ranked.features.names)
    assert sum("likes" in name for name in ranked.features.names) >= 2
    labels = np.bincount(rows.labels)
    assert labels[1] > 0 and labels[2] > 0
    assert any("candidates were not judged, and count as 0" in issue for issue in rows.issues)
    left_out = rows_of(data, replace(OPTIONS, unjudged="leave-out"))
    assert len(left_out.rows.labels) < len(rows.labels)
    assert any("are left out" in issue for issue in left_out.rows.issues)
    assert ranked.facts["query_hashes"] == sorted({query_hash(query) for query in data.queries})


def test_the_ideal_order_counts_what_was_not_found(data: Dataset) -> None:
    few = rows_of(data, replace(OPTIONS, depth=3)).rows
    assert few.ideals is not None
    assert any(len(ideal) > 3 for ideal in few.ideals)


def test_rows_stand_in_the_order_of_the_first_stage(data: Dataset, ranked: RankedData) -> None:
    """So that "no reranking" is what its name says, and ties are broken as in serving."""
    names = ranked.features.names
    ranks = ranked.rows.matrix[:, names.index("rank(bm25)")]
    starts = ranked.rows.starts
    for start, end in zip(starts, starts[1:], strict=False):
        assert ranks[start:end].tolist() == sorted(ranks[start:end])
    other = replace(data, queries=(*data.queries[:6],))
    copy = rows_of(other, replace(OPTIONS, pipeline="bm25 >> resift-mini-en@30"))
    ranks = copy.rows.matrix[:, copy.features.names.index("rank(bm25)")]
    assert ranks[: copy.rows.sizes[0]].tolist() == sorted(ranks[: copy.rows.sizes[0]])


def test_groups_hold_what_belongs_together(ranked: RankedData) -> None:
    groups = dict(groups_of(ranked.features))
    assert {ranked.features.names[i] for i in groups["signal bm25"]} >= {"score(bm25)", "rank(bm25)"}
    assert "number(likes)" in {ranked.features.names[i] for i in groups["field likes"]}
    assert sorted(i for columns in groups.values() for i in columns) == list(range(len(ranked.features.names)))


def test_the_report_is_of_queries_out_of_fold(trained: TrainedLtr) -> None:
    names = [order.name for order in trained.report.orders]
    assert (names[0], names[-1]) == ("no reranking", "learned")
    came, single, learned = trained.report.orders
    assert came.gain.value == 0 and came.helped == came.hurt == 0
    assert learned.value - came.value == pytest.approx(learned.gain.value)
    assert trained.report.against_single.value == pytest.approx(learned.value - single.value)
    assert learned.gain.low > 0  # likes decide among those with both words
    losses = {group.name: group.loss for group in trained.report.groups}
    likes = losses["field likes"]
    assert likes is not None and likes.low > 0
    assert trained.report.verdict.startswith("On queries that it did not see, the learned order reaches nDCG@10")
    assert sum(group.gain for group in trained.report.groups) == pytest.approx(1)


def test_a_folder_loads_and_serves_what_training_computed(folder: Path, ranked: RankedData, index: Index) -> None:
    """The features of serving are bit by bit those of training, and so are the scores."""
    query = Query("amber bridge", "q")
    first = index.retriever.retrieve([query], 30)[0]
    model = open_learned(folder)
    expected = ranked.features.matrix(first, ranked.statistics).values
    np.testing.assert_array_equal(model.matrix(first).values, expected)
    ranking = served(folder, first)
    scores = {c.document.id: c.score.value for c in ranking if c.score}
    values = model.function.predict(model.usable(expected))
    assert [scores[c.document.id] for c in first] == values.tolist()
    assert [c.score.value for c in ranking if c.score] == sorted(values, reverse=True)
    assert {c.score.kind for c in ranking if c.score} == {ScoreKind.LEARNED}
    assert ranking.trace.reranked and ranking.trace.steps[-1].name == folder.name
    assert sorted(c.document.id for c in ranking) == sorted(c.document.id for c in first)


def test_a_loaded_folder_reranks_behind_a_first_stage(folder: Path, index: Index) -> None:
    model = resift.load(folder)
    assert isinstance(model, LearnedReranker)
    assert (model.info.family, model.info.kind, model.info.name) == ("learned", ScoreKind.LEARNED, folder.name)
    assert len(model.info.fingerprint) == 32
    ranking = index.search("amber bridge", 5, 30, model)
    assert ranking.trace.reranked and len(ranking) == 5
    assert ranking[0].signals[-1].source == folder.name
    again = index.run(f'bm25 >> ltr(model="{folder}")@30 >> top 5', "amber bridge")
    assert [c.document.id for c in again] == [c.document.id for c in ranking]


def test_pairs_of_a_query_are_scored_as_one_list(folder: Path) -> None:
    model = resift.load(folder)
    documents = [{"text": "amber bridge", "likes": 90}, {"text": "copper", "likes": 3}]
    together = model.score([("amber bridge", documents[0]), ("copper", documents[1]), ("amber bridge", documents[1])])
    apart = model.score([("amber bridge", documents[0]), ("amber bridge", documents[1])])
    assert together.values[0] == apart.values[0] and together.values[2] == apart.values[1]
    assert together.kind is ScoreKind.LEARNED


def test_a_cascade_with_two_learned_stages_is_one_pipeline(folder: Path, index: Index, data: Dataset) -> None:
    text = f'bm25 >> ltr(model="{folder}")@20 >> resift-mini-en@9 >> ltr(model="{folder}", explain=true)@6 >> top 10'
    plan = Pipeline.parse(text)
    assert Pipeline.parse(str(plan)) == plan
    assert str(plan) == text
    assert Pipeline.from_toml(plan.to_toml()) == plan
    assert (plan.depth, plan.models) == (20, ("resift-mini-en",))
    ranking = index.run(plan, "amber bridge")
    sources = [signal.source for signal in ranking[0].signals]
    assert sources == ["bm25", folder.name, "resift-mini-en", folder.name]
    assert [step.name for step in ranking.trace.steps][-3:] == [folder.name, "resift-mini-en", folder.name]
    assert ranking[0].signals[-1].reasons and not ranking[6].signals[-1].reasons
    result = evaluate(data, [f'bm25 >> ltr(model="{folder}")@30'], EvaluationOptions(("nDCG@10",), cache=False))
    first, learned = result.pipelines
    assert learned.values["nDCG@10"].mean() > first.values["nDCG@10"].mean()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bm25 >> ltr@10", 'ltr needs the folder of its model: ltr\\(model="…"\\)'),
        ('bm25 >> ltr(model="a") >> blend', "a blend needs a model in front of it"),
        ('m >> ltr(model="a") >> blend', "a blend needs a model just in front of it, not ltr"),
        ('bm25 >> ltr@3(model="a")@4', "two depths"),
        ('bm25 >> ltr(model="a", explain=1)', "the explain of ltr is true or false"),
        ('bm25 >> ltr(folder="a")', "ltr has no parameter 'folder'; it has model, weight, explain"),
        ('bm25 >> ltr(model="a")@0', "the depth of ltr is 1 or more"),
    ],
)
def test_learned_stages_that_can_not_stand_so_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Pipeline.parse(text)


def test_one_of_several_models_may_stand_behind_a_learned_stage() -> None:
    plan = Pipeline.parse('ltr(model="a")@9 >> m | n@5')
    assert plan.models == ("m", "n")
    assert str(Pipeline.parse('ltr@9(model="a") >> m')) == 'ltr(model="a")@9 >> m'


def test_a_missing_signal_is_reported_and_is_not_zero(folder: Path, index: Index) -> None:
    first = index.retriever.retrieve([Query("amber bridge")], 10)[0]
    bare = Ranking.unscored(first.query, [c.document for c in first])
    ranking = served(folder, bare)
    notes = [note for note in ranking.trace.notes if note.code is NoteCode.MISSING]
    assert len(notes) == 1 and "no candidate has a signal of 'bm25'" in notes[0].message
    model = open_learned(folder)
    matrix = model.matrix(bare)
    column = matrix.names.index("score(bm25)")
    assert np.isnan(matrix.values[:, column]).all()
    assert (model.usable(matrix.values)[:, column] == np.float32(model.summary.features[column].median)).all()


def test_a_value_that_training_knew_as_missing_stays_missing(folder: Path) -> None:
    model = open_learned(folder)
    summary = replace(model.summary, features=tuple(replace(f, missing=0.5) for f in model.summary.features))
    rows = np.full((2, len(summary.features)), np.nan, np.float32)
    assert np.isnan(replace(model, summary=summary).usable(rows)).all()


def test_drift_is_reported_where_most_candidates_lie_outside_of_training(folder: Path, index: Index) -> None:
    first = index.retriever.retrieve([Query("amber bridge")], 10)[0]

    def liked(share: int) -> Ranking:
        """Candidates of which so many have more likes than any document of training."""
        return Ranking(
            first.query,
            tuple(
                replace(c, document=replace(c.document, metadata={"likes": 10_000 if i < share else 50}))
                for i, c in enumerate(first)
            ),
        )

    def notes(share: int) -> list[str]:
        return [note.message for note in served(folder, liked(share)).trace.notes if note.code is NoteCode.DRIFT]

    assert not notes(0) and not notes(5)
    assert "was trained on other values of number(likes)" in notes(6)[0]


def test_explanations_name_features_in_words_and_add_up(folder: Path, index: Index) -> None:
    first = index.retriever.retrieve([Query("amber bridge")], 10)[0]
    model = open_learned(folder)
    ranking = served(folder, first, explain=True)
    base = model.function.contributions(model.usable(model.matrix(first).values))[:, -1]
    for c in ranking:
        signal = c.signals[-1]
        assert signal.score is not None
        total = sum(reason.contribution for reason in signal.reasons) + base[0]
        assert total == pytest.approx(signal.score.value, abs=1e-4)
        sizes = [abs(reason.contribution) for reason in signal.reasons]
        assert sizes == sorted(sizes, reverse=True)
    likes = next(r for r in ranking[0].signals[-1].reasons if r.feature == "number(likes)")
    assert likes.words == f"likes of {likes.value:.4g}"
    assert sentence(ranking[0].signals[-1].reasons).startswith("+")
    plain = served(folder, first)
    assert not plain[0].signals[-1].reasons and [c.document.id for c in plain] == [c.document.id for c in ranking]


def test_explanations_count_in_words() -> None:
    features = FeatureSet.default(["bm25"])
    values = np.full(len(features.names), np.nan, np.float32)
    names = ("z(bm25)", "first_match", "terms")
    columns = [features.names.index(name) for name in names]
    values[columns] = (-0.5, 1.0, 1.0)
    added = np.zeros(len(values) + 1)
    added[columns] = (0.3, 0.2, 0.1)
    assert sentence(reasons(features, values, added)) == (
        "+0.3 bm25's score, 0.5 standard deviations below the mean, +0.2 1 term before the first of the query, "
        "+0.1 1 term long"
    )


def test_an_empty_ranking_comes_back(folder: Path) -> None:
    assert len(served(folder, Ranking(Query("a")))) == 0


def test_candidates_behind_the_depth_stay_behind(folder: Path, index: Index) -> None:
    first = index.retriever.retrieve([Query("amber bridge")], 10)[0]
    ranking = drive(Learned(open_learned(folder), 4), [first])[0]
    assert [c.document.id for c in ranking][4:] == [c.document.id for c in first][4:]
    assert {c.document.id for c in ranking.top(4)} == {c.document.id for c in first.top(4)}


def test_folders_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="holds no learned model"):
        open_learned(tmp_path)
    copy = tmp_path / "copy"

    def changed(name: str, old: str, new: str) -> None:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        text = (copy / name).read_text()
        assert old in text
        (copy / name).write_text(text.replace(old, new, 1))

    changed(FEATURES_FILE, "version = 1", "version = 99")
    with pytest.raises(InputError, match="has version 99 of the feature .* train the model again"):
        open_learned(copy)
    changed(FEATURES_FILE, 'name = "coverage"', 'name = "cover"')
    with pytest.raises(InputError, match="there is no feature 'cover'"):
        open_learned(copy)
    changed(TRAINING_FILE, '"feature": "coverage"', '"feature": "other"')
    with pytest.raises(BrokenModel, match="the files are of different models"):
        open_learned(copy)
    changed(TRAINING_FILE, '"schema": 1', '"schema": 2')
    with pytest.raises(BrokenModel, match="another version of Resift"):
        open_learned(copy)
    changed(TRAINING_FILE, "{", "[")
    with pytest.raises(BrokenModel, match="can't be read"):
        open_learned(copy)
    (copy / FEATURES_FILE).unlink()
    shutil.copy(folder / TRAINING_FILE, copy)
    with pytest.raises(InputError, match="a matrix of unknown origin"):
        open_learned(copy)
    with pytest.raises(InputError, match="a matrix of unknown origin"):
        resift.load(copy)


def test_a_summary_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    summary = TrainingSummary.read(folder)
    summary.write(tmp_path)
    assert TrainingSummary.read(tmp_path) == summary
    assert summary.pipeline == "bm25"
    card = (folder / "MODEL_CARD.md").read_text()
    assert card.startswith(f"# {folder.name}\n") and "| learned |" in card
    assert json.loads((folder / "contract.json").read_text())["family"] == "learned"


def test_only_a_learned_folder_is_replaced(ranked: RankedData, trained: TrainedLtr, tmp_path: Path) -> None:
    target = tmp_path / "order"
    write_folder(target, trained, ranked.features, ranked.statistics)
    write_folder(target, trained, ranked.features, ranked.statistics)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["order"]
    other = tmp_path / "mine"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is there and holds no learned stage"):
        write_folder(other, trained, ranked.features, ranked.statistics)
    with pytest.raises(InputError, match="there is no folder"):
        write_folder(tmp_path / "a" / "b", trained, ranked.features, ranked.statistics)


def test_learned_models_take_no_blend_threshold_calibration_or_cache(folder: Path, tmp_path: Path) -> None:
    model = resift.load(folder)
    with pytest.raises(InputError, match="no weight of a blend"):
        model.stage(blend=0.5)
    with pytest.raises(InputError, match="without a calibration"):
        model.stage(min_relevance=0.5)
    with pytest.raises(InputError, match="has no calibration"):
        resift.load(folder, calibrated=True)
    from resift.score.cache import PairCache

    with pytest.raises(InputError, match="has no cache of pairs"):
        resift.load(folder, cache=PairCache())


def test_a_model_that_saw_the_queries_is_refused_unless_others_stand_for_it(
    folder: Path, data: Dataset, tmp_path: Path
) -> None:
    """Of two folders each is taken for the queries that it does not know, and their signals have one name."""
    with_model = replace(OPTIONS, pipeline=f'bm25 >> ltr(model="{folder}")@30')
    with pytest.raises(InputError, match=r"was trained on \d+ of these \d+ queries.*--out-of-fold"):
        rows_of(data, with_model)
    with pytest.raises(InputError, match="names 'x', which is no model of"):
        rows_of(data, replace(OPTIONS, out_of_fold={"x": (str(folder),)}))
    halves = []
    for i in (0, 1):
        copy = tmp_path / f"half-{i}"
        shutil.copytree(folder, copy)
        summary = TrainingSummary.read(copy)
        known = sorted({query_hash(query) for query in data.queries[i::2]})
        replace(summary, name=copy.name, data={"query_hashes": known}).write(copy)
        halves.append(str(copy))
    rows = rows_of(data, replace(with_model, out_of_fold={str(folder): halves}))
    assert f"score({folder.name})" in rows.features.names
    assert not [name for name in rows.features.names if "half-" in name]
    column = rows.rows.matrix[:, rows.features.names.index(f"score({folder.name})")]
    assert not np.isnan(column).any()
    with pytest.raises(InputError, match="every folder that stands for .* was trained on the query"):
        rows_of(data, replace(with_model, out_of_fold={str(folder): halves[:1]}))


def test_the_page_stands_alone(trained: TrainedLtr) -> None:
    page = as_html(trained, "order <b>")
    assert page.startswith("<!DOCTYPE html>") and "order &lt;b&gt;" in page
    assert "http://" not in page and "https://" not in page and "<script" not in page
    assert page.count("<svg") > 3 and "number(likes)" in page
    assert page == as_html(trained, "order <b>")


def test_signals_keep_their_reasons_in_json(folder: Path, index: Index) -> None:
    from resift.files.answers import as_json

    first = index.retriever.retrieve([Query("amber bridge")], 3)[0]
    value = as_json(served(folder, first, explain=True))
    reason = value["results"][0]["signals"][-1]["reasons"][0]
    assert set(reason) <= {"feature", "value", "contribution", "words"}
    json.dumps(value, allow_nan=False)


def test_features_may_be_chosen(data: Dataset) -> None:
    chosen = FeatureSet.default(["bm25"])
    assert rows_of(data, replace(OPTIONS, features=chosen)).features is chosen


@given(
    st.lists(st.sampled_from(["", " ", "amber bridge", "amber", "copper copper", "\ud800"]), max_size=9),
    st.none() | st.integers(1, 10),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_a_permutation_of_every_ranking(
    trained: TrainedLtr, ranked: RankedData, texts: list[str], depth: int | None, explain: bool
) -> None:
    """Whatever the texts are, every candidate comes back once, and what others said of it stays."""
    model = LearnedModel(
        trained.trees,
        ranked.features,
        ranked.statistics,
        TrainingSummary("order", "lightgbm", trained.distributions),
    )
    before = Ranking.unscored(Query("amber bridge"), [Document(f"d{i}", text) for i, text in enumerate(texts)])
    (after,) = drive(Learned(model, depth, explain), [before])
    assert sorted(c.document.id for c in after) == sorted(c.document.id for c in before)
    assert all(c.signals[:1] == (Signal("input", c.first_rank),) for c in after)
    scored = [c for c in after if c.score]
    assert len(scored) in (0, min(len(texts), depth or len(texts)))
    assert [c.score.value for c in scored if c.score] == sorted(
        (c.score.value for c in scored if c.score), reverse=True
    )
    assert list(after)[: len(scored)] == scored
    assert drive(Learned(model, depth, explain), [before])[0].candidates == after.candidates


def test_a_server_takes_a_learned_model(folder: Path, index: Index) -> None:
    from resift.serve.runtime.served_models import ServedModel

    model = resift.load(folder)
    served_model = ServedModel.of(model)
    first = index.retriever.retrieve([Query("amber bridge")], 10)[0]
    (ranking,) = drive(served_model.stage(model.judge, True, 5), [first])
    assert [c.document.id for c in ranking] == [c.document.id for c in drive(model.stage(depth=5), [first])[0]]
    assert ranking.trace.reranked


def test_two_queries_are_too_few_and_three_are_enough() -> None:
    """With two of three queries left to learn from, one can validate."""
    rows = checked_rows([[i % 4, i % 3] for i in range(24)], [int(i % 4 == 3) for i in range(24)], list("aaaabbbb") * 3)
    with pytest.raises(InputError, match="2 queries to learn from; learning to rank needs 3 at least"):
        train_ltr(rows, QUICK)
    rows = checked_rows(rows.matrix, [int(i % 4 == 3) for i in range(24)], list("aaaabbbbcccc") * 2)
    assert train_ltr(rows, QUICK).report.folds == 3


def test_values_that_can_not_be_read_are_counted(data: Dataset) -> None:
    documents = [
        replace(d, metadata=d.metadata | ({"likes": float("nan")} if i % 4 == 0 else {}))
        for i, d in enumerate(data.documents)
    ]
    issues = " ".join(rows_of(Dataset.of(data.queries, documents, data.qrels), OPTIONS).rows.issues)
    assert "the field 'likes' of" in issues and "is not finite, and counts as missing; with" in issues


def test_titles_that_training_did_not_have_either_are_no_news(data: Dataset) -> None:
    untitled = Dataset.of(data.queries, [replace(d, title="") for d in data.documents], data.qrels)
    ranked = rows_of(untitled, OPTIONS)
    trained = train_ltr(ranked.rows, replace(QUICK, ablate=False), groups_of(ranked.features))
    summary = TrainingSummary("order", "lightgbm", trained.distributions, {}, {}, "", {}, ())
    model = LearnedModel(trained.trees, ranked.features, ranked.statistics, summary)
    candidates = tuple(Candidate(d) for d in list(untitled.documents)[:3])
    matrix = model.matrix(Ranking(untitled.queries[0], candidates))
    assert "title" in {missing.name for missing in matrix.missing}
    notes = " ".join(note.message for note in model.notes(matrix))
    assert "'bm25'" in notes and "title" not in notes


def test_judged_documents_alone_may_be_the_candidates(data: Dataset) -> None:
    ranked = rows_of(data, replace(OPTIONS, judged_only=True))
    assert "judged" not in ranked.features.sources  # documents that nothing found are no signal
    assert not any("were not judged" in issue or "--judged-only" in issue for issue in ranked.rows.issues)
    assert all(
        len(data.qrels[query]) >= size for query, size in zip(ranked.rows.queries, ranked.rows.sizes, strict=True)
    )
