"""A calibration belongs to one model, converts once, and leaves out what it says that it leaves out."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from resift import Reranker, Score
from resift.calibrate import store
from resift.calibrate.calibration import Binding, Calibration
from resift.calibrate.fit import fit
from resift.errors import InputError, KindError, NotCalibrated
from resift.pipeline import Pipeline
from resift.rerank.drive import drive
from resift.rerank.relevance import Relevance
from resift.types import Document, Level, ModelInfo, NoteCode, Pair, Query, Ranking, ScoreKind, Scores
from tests.calibrate.simulated import BINDING, simulated

INFO = ModelInfo(
    "simulated", ScoreKind.LOGIT, fingerprint="f00d", runs_on="native f32", settings="settings", blend_weight=2.0
)


class Stated:
    """A fake scorer: a text states its score."""

    def __init__(self, info: ModelInfo = INFO, shift: float = 0.0) -> None:
        self.info, self.shift = info, shift

    def score(self, pairs: Sequence[Pair]) -> Scores:
        texts = [c.document.text for _, c in pairs]
        return Scores.of([float(text) + self.shift if text else None for text in texts], self.info)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    calibration = fit(simulated(1, queries=300), BINDING).calibration
    canaries = tuple(replace(canary, document=str(canary.score)) for canary in calibration.canaries)
    return replace(calibration, canaries=canaries)


def ranked(calibration: Calibration, *values: str, **options: object) -> Ranking:
    reranker = Reranker(Stated(), calibration=calibration)
    return reranker.rerank("q", [{"id": value or "empty", "text": value} for value in values], **options)  # type: ignore[arg-type]


def test_scores_become_probabilities_in_the_same_order(calibration: Calibration) -> None:
    values = ["-3", "2", "0", "1"]
    ranking = ranked(calibration, *values)
    plain = Reranker(Stated()).rerank("q", [{"id": value, "text": value} for value in values])
    assert [c.document.id for c in ranking] == [c.document.id for c in plain] == ["2", "1", "0", "-3"]
    scores = [c.score for c in ranking if c.score]
    assert {(s.kind, s.source) for s in scores} == {(ScoreKind.PROBABILITY, "simulated")}
    assert [s.value for s in scores] == [calibration.curve(float(c.document.id)) for c in ranking]
    assert [c.probability for c in ranking] == [s.value for s in scores]
    assert (ranking[0].level, ranking[3].level) == (Level.HIGH, Level.NONE)
    assert [s.source for s in ranking[0].signals] == ["input", "simulated", "relevant"]
    assert not ranking.left_out and not ranking.trace.notes


def test_a_threshold_says_what_it_leaves_out(calibration: Calibration) -> None:
    ranking = ranked(calibration, "-3", "2", "0", "", "1", min_relevance=0.5)
    assert [c.document.id for c in ranking] == ["2", "1"]
    assert [c.document.id for c in ranking.left_out] == ["0", "-3", "empty"]
    (note,) = ranking.trace.notes
    assert note.code is NoteCode.RELEVANCE
    assert note.message == "3 of 5 candidates are left out: they have a probability of relevance below 0.5, or no text"
    assert [c.rank for c in ranking] == [1, 2]
    nothing = ranked(calibration, "-3", "-4", min_relevance="high")
    assert not len(nothing) and len(nothing.left_out) == 2
    assert nothing.trace.reason.startswith("nothing relevant: all 2 candidates have a probability of relevance below")
    assert "(high)" in nothing.trace.reason
    everything = ranked(calibration, "3", "4", min_relevance=0.5)
    assert len(everything) == 2 and not everything.trace.notes


def test_the_threshold_itself_is_kept(calibration: Calibration) -> None:
    assert len(ranked(calibration, "0.25", min_relevance=calibration.curve(0.25))) == 1


def test_who_was_not_scored_stays(calibration: Calibration) -> None:
    ranking = ranked(calibration, "-3", "2", "-2", "1", depth=2, min_relevance=0.5)
    assert [c.document.id for c in ranking] == ["2", "-2", "1"]
    assert ranking.trace.reason.endswith("; 2 that simulated did not score stay")
    unscored = ranked(calibration, "", "", min_relevance=0.5)
    assert len(unscored) == 2 and "none is left out: simulated scored none of the candidates" in unscored.trace.reason


def test_a_blend_keeps_its_order_and_gets_a_probability(calibration: Calibration) -> None:
    values = ["0", "3", "1", "-2", "2"]
    documents = Ranking.unscored(Query("q"), [Document(value, value) for value in values])
    reranker = Reranker(Stated(), calibration=calibration)
    (plain,) = drive(Reranker(Stated()).stage(), [documents])
    (ranking,) = drive(reranker.stage(min_relevance=0.1), [documents])
    left = {c.document.id for c in ranking.left_out}
    assert left == {"-2"}
    assert [c.document.id for c in ranking] == [c.document.id for c in plain if c.document.id not in left]
    assert {c.score.kind for c in ranking if c.score} == {ScoreKind.FUSED}
    assert [c.probability for c in ranking] == [calibration.curve(float(c.document.id)) for c in ranking]


def test_it_converts_once_and_only_its_own(calibration: Calibration) -> None:
    raw = Score(1.0, ScoreKind.LOGIT, "simulated", 1)
    probability = calibration.probability(raw)
    assert (probability.kind, probability.stage) == (ScoreKind.PROBABILITY, 2)
    for other in (probability, replace(raw, source="another"), replace(raw, kind=ScoreKind.COSINE)):
        with pytest.raises(KindError, match="this calibration is for logit scores of simulated"):
            calibration.probability(other)
    scores = Reranker(Stated(), calibration=calibration).score([("q", "1"), ("q", "")])
    assert scores.kind is ScoreKind.PROBABILITY and scores.values == (calibration.curve(1.0), None)
    with pytest.raises(KindError):
        calibration.converted(scores)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"name": "another"}, "another model: another instead of simulated"),
        ({"kind": ScoreKind.MAXSIM}, "another kind of score: maxsim instead of logit"),
        ({"fingerprint": "beef"}, "another version of the model's files"),
        ({"runs_on": "native int8"}, "another engine and precision: native int8 instead of native f32"),
        ({"long_documents": "truncate"}, "another treatment of long documents: truncate instead of windows"),
        ({"settings": "other"}, "another settings of the model"),
    ],
)
def test_another_model_is_refused(calibration: Calibration, change: dict[str, str], difference: str) -> None:
    calibration.check(INFO)
    with pytest.raises(NotCalibrated, match=difference):
        calibration.check(replace(INFO, **change))  # type: ignore[arg-type]


def test_a_hosted_model_is_bound_to_its_provider_and_revision() -> None:
    hosted = replace(BINDING, provider="cohere", revision="3.5")
    assert hosted.difference(replace(hosted, revision="4")) == "another revision: 4 instead of 3.5"
    assert hosted.difference(BINDING) == "another provider: none instead of cohere"


def test_canaries_show_that_a_model_was_swapped(calibration: Calibration) -> None:
    calibration.check_canaries(Stated())
    assert len(calibration.canaries) == 2 and calibration.canaries[0].score > calibration.canaries[1].score
    with pytest.raises(NotCalibrated, match="the model has changed"):
        calibration.check_canaries(Stated(shift=0.2))
    silent = replace(calibration, canaries=(replace(calibration.canaries[0], document=""),))
    with pytest.raises(NotCalibrated, match="gives a pair no score"):
        silent.check_canaries(Stated())


def test_scores_of_another_scale_are_not_converted(calibration: Calibration) -> None:
    values = [f"{i / 10 - 5:.2f}" for i in range(80)]
    assert not calibration.shift([float(v) for v in values])
    other = [str(100 + i) for i in range(80)]
    assert "100% of 80 scores of simulated lie beyond" in calibration.shift([float(v) for v in other])
    assert not calibration.shift([100.0] * 49)  # too few to tell
    ranking = ranked(calibration, *other, min_relevance=0.5)
    assert len(ranking) == 80 and ranking[0].score is not None and ranking[0].score.kind is ScoreKind.LOGIT
    assert "no probability of relevance, and none is left out: 100% of 80" in ranking.trace.reason
    with pytest.raises(NotCalibrated, match="lie beyond"):
        Reranker(Stated(), calibration=calibration).score([("q", v) for v in other])


def test_any_mixture_of_relevant_and_irrelevant_is_no_shift(calibration: Calibration) -> None:
    for part in (calibration.sample.relevant, calibration.sample.irrelevant):
        assert calibration.sample.beyond(part) < 0.02
    assert calibration.sample.beyond((*calibration.sample.relevant, *calibration.sample.irrelevant)) < 0.02
    easy = [min(calibration.sample.irrelevant) + i / 100 for i in range(80)]
    assert not calibration.shift(easy)  # a search finds what nobody would judge
    assert "lie beyond" in calibration.shift([value - 20 for value in easy])


@pytest.mark.parametrize("relevance", [0, 1.5, -1, float("nan"), True, "none", "lots", ""])
def test_what_is_no_relevance(calibration: Calibration, relevance: float | str) -> None:
    with pytest.raises(InputError, match="a relevance is a probability"):
        calibration.least(relevance)


def test_levels_and_numbers_are_relevances(calibration: Calibration) -> None:
    assert calibration.least("0.25") == calibration.least(0.25) == 0.25
    assert calibration.least("high") == calibration.levels[Level.HIGH]
    with pytest.raises(InputError, match="has no level high"):
        replace(calibration, levels={Level.SOME: 0.1}).least("high")
    assert replace(calibration, levels={}).level(0.9) is None
    assert replace(calibration, levels={Level.SOME: 0.1}).level(0.9) is Level.SOME


def test_a_threshold_without_a_calibration_is_refused() -> None:
    with pytest.raises(InputError, match="loaded without a calibration"):
        Reranker(Stated()).rerank("q", ["1"], min_relevance=0.5)
    with pytest.raises(InputError, match="needs a calibrated model"):
        Pipeline.parse("a >> relevant(least=0.5)").stage(lambda name: Stated())


def test_a_pipeline_with_a_threshold_runs(calibration: Calibration) -> None:
    plan = Pipeline.parse('simulated >> blend >> relevant(least="some") >> top 2')
    stage = plan.stage(lambda name: Stated(), calibration_of=lambda name: calibration)
    (ranking,) = drive(stage, [Ranking.unscored(Query("q"), [Document(v, v) for v in ("2", "-6", "1")])])
    assert [c.document.id for c in ranking] == ["2", "1"] and len(ranking.left_out) == 1
    assert [step.name for step in ranking.trace.steps] == ["simulated", "blend", "relevant"]
    assert str(Reranker(Stated(), calibration=calibration).pipeline(False, 5, min_relevance="high")) == (
        'simulated@5 >> relevant(least="high")'
    )
    assert str(Reranker(Stated(), calibration=calibration).pipeline(False)) == "simulated >> relevant"
    assert Relevance(calibration).name == "relevant"


def test_it_is_read_as_it_was_written(calibration: Calibration, tmp_path: Path) -> None:
    file = store.add(tmp_path, calibration)
    assert file == tmp_path / "calibration.json"
    assert store.find(INFO, [tmp_path]) == calibration
    int8 = replace(calibration, binding=replace(calibration.binding, runs_on="native int8"))
    store.add(file, int8)
    store.add(file, int8)
    assert len(store.read(file)) == 2
    assert store.find(replace(INFO, runs_on="native int8"), [tmp_path]) == int8
    with pytest.raises(NotCalibrated, match="native bf16 instead of native f32"):
        store.find(replace(INFO, runs_on="native bf16"), [tmp_path])
    newer = replace(calibration, binding=replace(calibration.binding, fingerprint="beef"))
    store.add(file, newer)
    assert store.read(file) == [newer]  # nothing can use those of files that are gone


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"version": 1}', "is damaged"),
        ('{"version": 1, "calibrations": [{}]}', "is damaged"),
        ('{"version": 2}', "is of version 2, and this Resift reads 1; update Resift"),
        ('{"version": 1, "calibrations": []}', "holds no calibration"),
    ],
)
def test_files_that_hold_no_calibration(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(InputError, match=message):
        store.find(INFO, [tmp_path])


def test_where_there_is_none_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not calibrated: .*; make one: resift calibrate LABELS --model simulated"):
        store.find(INFO, [tmp_path])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="name another folder with --out"):
        store.add(tmp_path / "file" / "folder", fit(simulated(1, queries=50), Binding.of(INFO)).calibration)


def test_bundled_models_are_not_written_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    expected = tmp_path / "resift" / "calibrations" / "resift-mini-en"
    assert store.place_of("resift-mini-en") == expected
    assert store.place_of(str(store.BUNDLED / "resift-mini-en")) == expected
    assert store.place_of(str(tmp_path)) == tmp_path
    assert store.place_of("owner/name") == tmp_path / "resift" / "calibrations" / "owner" / "name"
    assert json.dumps([str(place) for place in store.places_of("resift-mini-en")]).count("resift-mini-en") == 2
    monkeypatch.setenv("XDG_DATA_HOME", "~no_user_of_this_name/x")
    with pytest.raises(InputError, match="no home folder"):
        store.place_of("resift-mini-en")
