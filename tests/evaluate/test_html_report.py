"""The report: what it says, that it loads nothing and runs nothing of others, and how large it gets."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from resift.cli.main import app
from resift.errors import InputError
from resift.evaluate import Evaluation, EvaluationOptions, PipelineRun, as_html, as_json, evaluate, read_evaluation
from resift.evaluate.evaluation import DataFacts, ModelScores
from resift.evaluate.evaluation_json import of_json
from resift.evaluate.html_report.groups import report_data
from resift.evaluate.html_report.markup import Html, joined, tag
from resift.evaluate.html_report.scored_pairs import ScoredPairs, score_bins, scored_pairs
from resift.evaluate.html_report.svg import Scale, number
from resift.evaluate.html_report.trade_off import pareto_front
from resift.evaluate.issues import Issue, IssueCode
from resift.types import Query
from tests.evaluate.small import CountingScorer, collection, models
from tests.evaluate.test_outputs import judged

BLENDED, SHALLOW = "bm25 >> overlap@20 >> blend", "bm25 >> overlap@5"
HOSTILE = "</script></style><img src=x onerror=\"document.title='owned'\"><svg onload=alert(1)>&lt;\"'`"
VOID = {"meta", "link", "input"}


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    options = EvaluationOptions(cache=False, models=models(CountingScorer()))
    return evaluate(collection(queries=40), [BLENDED, SHALLOW, "bm25 >> overlap@20"], options)


class Page(HTMLParser):
    """Elements of a page with their attributes, texts by element; refuses what does not nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def test_nothing_is_loaded_or_sent(evaluation: Evaluation) -> None:
    html = as_html(evaluation)
    page = Page(html)
    assert not re.search(r"(?i)https?:|url\(|@import|//[a-z]", html.replace("// Sorting", ""))
    policy = next(m for m in page.named("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    )
    targets = [(name, a[key]) for name, a in page.elements for key in ("src", "href", "action", "data") if key in a]
    ids = {a["id"] for _, a in page.elements if "id" in a}
    assert ("link", "data:,") in targets
    for name, target in targets:
        assert (name, target) == ("link", "data:,") or (name == "a" and target and target[1:] in ids)


def test_the_page_is_the_same_from_the_file_and_again(evaluation: Evaluation, tmp_path: Path) -> None:
    html = as_html(evaluation)
    assert html == as_html(evaluation) == as_html(of_json(as_json(evaluation), "e.json"))
    assert html.startswith("<!DOCTYPE html>\n<html lang=") and html.endswith("</html>\n")


def hostile(evaluation: Evaluation) -> Evaluation:
    """Every text that others wrote is an attack."""
    return replace(
        evaluation,
        data=DataFacts(HOSTILE, HOSTILE, HOSTILE, 1, 1, issues=(Issue(IssueCode.SAMPLED, 1, HOSTILE, (HOSTILE,)),)),
        queries=tuple(Query(f"{HOSTILE} {i}", f"{HOSTILE}{i}") for i in range(len(evaluation.queries))),
        documents=tuple(f"{HOSTILE}{i}" for i in range(len(evaluation.documents))),
        texts={f"{HOSTILE}{i}": HOSTILE for i in range(len(evaluation.documents))},
        models={HOSTILE: {"name": HOSTILE, "kind": HOSTILE, HOSTILE: [HOSTILE]}},
        machine={HOSTILE: HOSTILE, "versions": {HOSTILE: HOSTILE}},
        pipelines=tuple(
            replace(
                run,
                scores=run.scores and replace(run.scores, model=HOSTILE, kind=HOSTILE),
                notes={HOSTILE: 1},
            )
            for run in evaluation.pipelines
        ),
    )


def test_texts_of_others_stay_texts(evaluation: Evaluation) -> None:
    ours, theirs = Page(as_html(evaluation)), Page(as_html(hostile(evaluation)))
    assert not theirs.named("img") and len(theirs.named("script")) == len(theirs.named("style")) == 1
    assert {name for name, _ in theirs.elements} == {name for name, _ in ours.elements}
    for name, attributes in theirs.elements:
        assert not [key for key in attributes if key.startswith("on")], name
    assert sum(HOSTILE in text for text in theirs.words("bdi")) > 100
    assert theirs.words("script") == ours.words("script")


@given(st.text(), st.text())
def test_markup_escapes_all_but_markup(text: str, attribute: str) -> None:
    page = Page(tag("p", {"title": attribute}, "a", text, tag("b", {}, text)))
    assert len(page.elements) == 2
    assert "".join(data for _, data in page.texts) == f"a{text}{text}"
    assert page.named("p")[0]["title"] == attribute
    assert joined([Html("<i>"), "<i>"]) == "<i>&lt;i&gt;"


def test_each_figure_says_what_it_shows(evaluation: Evaluation) -> None:
    page = Page(as_html(evaluation))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    images = [a for a in page.named("svg") if a.get("role") == "img"]
    assert len(images) == 4  # trade-off, depth, histogram, reliability
    for image in images:
        assert set((image["aria-labelledby"] or "").split()) <= set(ids)
    assert any("on the front" in text for text in page.words("desc"))
    plain = [a for a in page.named("svg") if a.get("width") and a.get("role") != "img"]
    assert plain and all(a.get("aria-hidden") == "true" for a in plain)
    assert len(page.named("caption")) >= 6
    assert all(a.get("scope") in ("col", "row") for a in page.named("th"))
    assert [a["class"] for a in page.named("th") if "aria-sort" in a] == ["n"]
    assert page.words("h2") == [
        "Quality and time", "Gains", "Depth", "Scores", "All figures", "Queries", "Data", "Machine and models",
    ]  # fmt: skip


def test_figures_are_those_of_the_evaluation(evaluation: Evaluation) -> None:
    data = report_data(evaluation)
    html = as_html(evaluation)
    for member in data.reranking:
        gain, s = member.summary.gains["nDCG@10"], member.summary
        cells = (f"{gain.value:+.4f}", f"{gain.low:+.4f} … {gain.high:+.4f}", str(s.hurt), str(s.helped))
        assert all(f">{cell}</td>" in html for cell in cells)
    best = max(data.reranking, key=lambda m: m.summary.measures["nDCG@10"].value)
    assert data.chosen is best and f"{best.name} reaches nDCG@10" in html.replace("&gt;", ">")
    assert [m.group for m in data.members] == [0, 1, 2, 2]


def run_of(name: str, value: float, ms: float, queries: int = 4) -> PipelineRun:
    """A run with one value for all queries."""
    every = np.full(queries, value)
    return PipelineRun(
        name, name.split(" >>")[0], 10, np.zeros((queries, 1), np.int32), {"nDCG@10": every}, every, every,
        np.zeros(queries), np.zeros(queries, bool), np.full(queries, ms), np.zeros(queries, np.int64),
    )  # fmt: skip


def evaluation_of(runs: list[PipelineRun]) -> Evaluation:
    queries = tuple(Query(f"query {i}", f"q{i}") for i in range(len(runs[0].ms)))
    facts = DataFacts("by hand", "", "0" * 64, 1, len(queries))
    return Evaluation(facts, queries, ("d",), tuple({0: 1} for _ in queries), ("nDCG@10",), tuple(runs))


def test_the_front_by_hand() -> None:
    figures = {"bm25": (0.4, 1), "bm25 >> a": (0.6, 30), "bm25 >> b": (0.5, 40), "bm25 >> c": (0.6, 50),
               "bm25 >> d": (0.7, 60), "bm25 >> e": (0.65, 30)}  # fmt: skip
    data = report_data(evaluation_of([run_of(name, *pair) for name, pair in figures.items()]))
    assert [m.run.pipeline for m in pareto_front(data.members, "nDCG@10")] == ["bm25", "bm25 >> e", "bm25 >> d"]
    assert data.chosen.run.pipeline == "bm25 >> d"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=8))
def test_no_pipeline_beats_one_on_the_front(pairs: list[tuple[int, int]]) -> None:
    runs = [run_of("bm25" if i == 0 else f"bm25 >> m{i}", value / 10, ms, 2) for i, (value, ms) in enumerate(pairs)]
    members = report_data(evaluation_of(runs)).members
    front = pareto_front(members, "nDCG@10")
    points = [(m.summary.ms_p50, m.summary.measures["nDCG@10"].value) for m in members]
    for member in front:
        ms, value = member.summary.ms_p50, member.summary.measures["nDCG@10"].value
        assert not [p for p in points if p[0] <= ms and p[1] >= value and p != (ms, value)]


def test_scores_stand_beside_grades(evaluation: Evaluation) -> None:
    run = evaluation.run(BLENDED)
    assert run.scores is not None
    pairs = scored_pairs(evaluation, run.scores, run.rankings)
    relevant = sum(
        evaluation.grades[i].get(int(document), 0) > 0
        for i, values in enumerate(run.scores.values)
        for document in run.rankings[i][: len(values)]
    )
    assert pairs.relevant.sum() == relevant > 0 and len(pairs.scores) == sum(map(len, run.scores.values))
    bins = score_bins(pairs, 0)
    assert sum(b.pairs for b in bins) == len(pairs.scores) and all(b.pairs >= 20 for b in bins)
    assert sum(b.pairs * b.relevant.value for b in bins) == pytest.approx(relevant)
    assert all(a.highest < b.lowest for a, b in zip(bins, bins[1:], strict=False))


@given(st.lists(st.tuples(st.integers(-3, 9), st.booleans()), min_size=1, max_size=200))
def test_every_pair_is_in_one_bin(rows: list[tuple[int, bool]]) -> None:
    scores, relevant = (np.array(column) for column in zip(*rows, strict=True))
    bins = score_bins(ScoredPairs(scores.astype(float), relevant, np.arange(len(rows)) % 7), 0)
    assert sum(b.pairs for b in bins) == len(rows)
    assert sum(b.pairs * b.relevant.value for b in bins) == pytest.approx(relevant.sum())
    assert len(bins) == 1 or all(b.pairs >= 20 for b in bins)
    assert all(b.relevant.low <= b.relevant.value <= b.relevant.high for b in bins)


def test_what_there_is_not_is_said() -> None:
    html = as_html(evaluation_of([run_of("bm25", 0.5, 0.0)]))
    for words in ("No pipeline here has a model", "Nothing was left out", "nothing to gain"):
        assert words in html
    old = as_html(evaluation_of([run_of("bm25", 0.5, 2.0), run_of("bm25 >> m", 0.6, 3.0)]))
    assert "no scores of models in this evaluation; evaluate again" in old and "looks at one depth only" in old
    scored = replace(run_of("bm25 >> m", 0.6, 3.0), scores=ModelScores("m", "probability", (np.array([0.5]),) * 4))
    assert "what the scores promise" in as_html(evaluation_of([run_of("bm25", 0.5, 2.0), scored]))


def test_another_pipeline_can_be_chosen_and_others_are_refused(evaluation: Evaluation) -> None:
    number_of = {m.run.pipeline: m.name for m in report_data(evaluation).members}
    html = as_html(evaluation, SHALLOW).replace("&gt;", ">")
    assert f"nDCG@10 of each query before and after {number_of[SHALLOW]}" in html
    with pytest.raises(InputError, match="no pipeline 'bm25 >> other'; it has: bm25; "):
        as_html(evaluation, "bm25 >> other")
    with pytest.raises(InputError, match="nothing to report"):
        as_html(replace(evaluation, pipelines=()))


def large(queries: int, names: list[str], words: int) -> Evaluation:
    """An evaluation of many queries with long texts."""
    rng = np.random.default_rng(0)
    rankings = [rng.permuted(np.tile(np.arange(30, dtype=np.int32), (queries, 1)), axis=1) for _ in names]
    texts = {f"document-{i}": "wörd " * 60 for i in range(30)}
    runs = [
        replace(run_of(name, 0.0, 2.0, queries), rankings=ranking, values={"nDCG@10": rng.random(queries)})
        for name, ranking in zip(names, rankings, strict=True)
    ]
    questions = tuple(Query(f"{i} " + "wörd " * words, f"q{i}") for i in range(queries))
    facts = DataFacts("large", "", "0" * 64, 30, queries)
    grades = tuple({i % 30: 1} for i in range(queries))
    return Evaluation(facts, questions, tuple(texts), grades, ("nDCG@10",), tuple(runs), texts)


@pytest.mark.parametrize(
    ("queries", "models", "words", "notes"),
    [
        (5000, 3, 15, ["queries that changed most have their documents here; the JSON has all"]),
        (6000, 1, 70, ["of 6000 queries that changed most; the JSON has all", "longer than 300 characters"]),
    ],
)
def test_a_large_page_stays_small_and_says_what_it_leaves_out(
    queries: int, models: int, words: int, notes: list[str]
) -> None:
    names = ["bm25", *(f"bm25 >> model-{i}@{depth} >> blend" for i in range(models) for depth in (10, 30))]
    html = as_html(large(queries, names, words))
    assert len(html.encode()) < 5_000_000
    for note in notes:
        assert note in html
    rows = html.count('<tr><th scope="row"><details>') + html.count('<tr><th scope="row"><bdi>')
    assert rows == queries if queries == 5000 else 1000 < rows < queries
    said = re.search(r"The (\d+) of \d+ queries that changed most have", html)
    assert said and int(said[1]) == html.count("<summary><bdi>") > 500


def test_axes() -> None:
    assert Scale(0.512, 0.541).ticks() == pytest.approx([0.515, 0.52, 0.525, 0.53, 0.535, 0.54])
    assert Scale(0.7, 5000, True).ticks() == pytest.approx([1, 10, 100, 1000])
    assert Scale(7, 140, True).ticks() == pytest.approx([10, 20, 50, 100])
    assert Scale(1, 100, True).at(10) == pytest.approx(0.5) and Scale(0, 2).at(9) == 1
    assert [number(v) for v in (0.1 + 0.2, 1000, -0.0, 1e-3, 12.5)] == ["0.3", "1,000", "0", "0.001", "12.5"]


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(2, 8))
def test_ticks_are_few_and_inside(low: float, width: float, most: int) -> None:
    scale = Scale(low, low + width)
    ticks = scale.ticks(most)
    assert 1 <= len(ticks) <= most + 1
    assert all(scale.low - 1e-6 * width <= t <= scale.high + 1e-6 * width for t in ticks)
    powers = Scale(10 ** (low / 250), 10 ** (low / 250) * (1 + width), True)
    assert all(math.isfinite(t) and 0 <= powers.at(t) <= 1 for t in powers.ticks(most))


def test_the_commands(tmp_path: Path) -> None:
    data, output, first = judged(tmp_path / "judged.jsonl"), tmp_path / "e.json", tmp_path / "first.html"
    arguments = ["evaluate", str(data), "--pipeline", "bm25", "--output", str(output), "--html", str(first)]
    result = CliRunner().invoke(app, [*arguments, "--cache", str(tmp_path / "cache")])
    assert result.exception is None and first.read_text() == as_html(read_evaluation(output))
    result = CliRunner().invoke(app, ["report", str(output)])
    assert result.exception is None and f"wrote {tmp_path / 'e.html'}" in result.stderr
    assert (tmp_path / "e.html").read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.json"], "no such file"),
        (["JUDGED"], "is no JSON"),
        (["JUDGED", "-o", "nowhere/r.html"], "there is no folder nowhere"),
        (["JUDGED", "-o", "JUDGED"], "is the evaluation itself"),
    ],
)
def test_what_the_command_refuses(tmp_path: Path, arguments: list[str], message: str) -> None:
    path = str(judged(tmp_path / "judged.jsonl"))
    result = CliRunner().invoke(app, ["report", *(path if a == "JUDGED" else a for a in arguments)])
    assert isinstance(result.exception, InputError) and message in str(result.exception)
