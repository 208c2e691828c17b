"""Which model is taken where none is named: by the language of each ranking, and of a new index."""

import json
import shutil
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import resift
from resift import Index
from resift.engine.once import Once
from resift.index.layout import settings_of
from resift.index.sample import sample_of
from resift.pipeline import Pipeline
from resift.rerank.drive import drive
from resift.rerank.guard import choose
from resift.rerank.when import Expectation, WhenRule
from resift.reranker import DefaultReranker, LazyReranker, Reranker
from resift.score import load
from resift.score.defaults import EMBEDDERS, RERANKERS, DefaultModels, bundled, preferred
from resift.text.language import guess
from resift.types import Document, ModelInfo, NoteCode, Pair, Query, Ranking, ScoreKind, Scores
from tests.bundled import needs_multi

ENGLISH = ["The keeper lit the lamp in the tower every evening.", "Bread is baked for twenty minutes in the oven."]
VIETNAMESE = [
    "Oslo là thủ đô và thành phố đông dân nhất của Na Uy.",
    "Bánh mì được nướng trong lò hai mươi phút.",
    "Vào mùa đông, một số vịnh hẹp đóng băng và phà phải nằm bến.",
]
TAMIL = "நார்வேயின் தலைநகரம் ஓஸ்லோ ஆகும்"
QUERY, CAPITAL = "who lit the lamp in the tower", "thủ đô của Na Uy là gì"


class Reader:
    """Scores by length, and reads the languages of its name; counts its pairs."""

    def __init__(self, name: str, *languages: str) -> None:
        self.info = ModelInfo(name, ScoreKind.MAXSIM, fingerprint=f"print of {name}", blend_weight=len(name))
        self.languages, self.pairs = languages, 0

    def foreign(self, texts: Sequence[str], role: str) -> list[str]:
        tongues = map(guess, texts)
        return ["" if tongue in ("", *self.languages) else tongue for tongue in tongues]

    def misfit(self, query: str, passages: Sequence[str]) -> str:
        tongues = self.foreign([query, *passages], "document")
        commonest = max(tongues[1:], key=tongues[1:].count, default="")
        return f"{self.info.name} can't read that" if tongues[0] or commonest else ""

    def score(self, pairs: Sequence[Pair]) -> Scores:
        self.pairs += len(pairs)
        return Scores.of([float(len(c.document.text)) for _, c in pairs], self.info)


class Shelf:
    """The default reranker over two readers, with a record of what was loaded."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.english, self.many = Reader("english", "en"), Reader("many", "en", "vi", "de", "zh")
        self.reranker = DefaultReranker([self._lazy(self.english), self._lazy(self.many)])

    def _lazy(self, reader: Reader) -> LazyReranker:
        def make() -> Reranker:
            self.loads.append(reader.info.name)
            return Reranker(reader, None, named=False)

        return LazyReranker(reader.info.name, Once(make), lambda: reader.info.fingerprint)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def notes(ranking: Ranking) -> list[tuple[str, str]]:
    return [(str(note.code), note.message) for note in ranking.trace.notes]


def test_english_takes_the_first_model_and_loads_no_other(shelf: Shelf) -> None:
    ranking = shelf.reranker.rerank(QUERY, ENGLISH)
    assert ranking.trace.reranked and notes(ranking) == [] and shelf.loads == ["english"]
    assert {c.score.source for c in ranking if c.score} == {"english"}


@pytest.mark.parametrize(
    ("query", "texts", "cause"),
    [
        (CAPITAL, VIETNAMESE, "the query and the texts are vi"),
        (CAPITAL, ENGLISH, "the query is vi"),
        ("capital of Norway", VIETNAMESE, "the texts are vi"),
        ("lamp", [*ENGLISH * 3, *VIETNAMESE[:2]], "2 of 8 texts are vi"),
        (CAPITAL, [ENGLISH[0], ENGLISH[1], VIETNAMESE[0]], "the query is vi and 1 of 3 texts are vi"),
    ],
)
def test_the_trace_says_which_model_was_taken_and_why(shelf: Shelf, query: str, texts: list[str], cause: str) -> None:
    ranking = shelf.reranker.rerank(query, texts)
    assert notes(ranking) == [("model", f"many: {cause}")] and ranking.trace.reranked
    assert {c.score.source for c in ranking if c.score} == {"many"} and not shelf.english.pairs


def test_up_to_a_fifth_of_the_passages_may_be_foreign(shelf: Shelf) -> None:
    """Of 20 that are looked at four; those behind them don't count."""
    four, five = [*VIETNAMESE, VIETNAMESE[0]], [*VIETNAMESE, *VIETNAMESE[:2]]
    assert not notes(shelf.reranker.rerank("lamp", [*four, *ENGLISH * 8, *five]))
    assert notes(shelf.reranker.rerank("lamp", [*five, *ENGLISH * 8])) == [("model", "many: 5 of 20 texts are vi")]


def test_what_no_model_reads_keeps_its_order(shelf: Shelf) -> None:
    ranking = shelf.reranker.rerank("lamp", [TAMIL, TAMIL + TAMIL])
    assert not ranking.trace.reranked and [c.document.id for c in ranking] == ["0", "1"]
    assert notes(ranking) == [("language", "many can't read that, or many to rerank all the same")]
    mixed = shelf.reranker.rerank("lamp", [TAMIL, *ENGLISH])  # neither reads all: the first that reads most of them
    assert mixed.trace.reranked and notes(mixed) == [] and shelf.english.pairs == 3


def test_each_ranking_of_a_call_gets_one_model_and_its_own_weight(shelf: Shelf) -> None:
    rankings = [
        Ranking.unscored(Query(q), [Document(str(i), t) for i, t in enumerate(texts)])
        for q, texts in ((QUERY, ENGLISH), (CAPITAL, VIETNAMESE), (CAPITAL, VIETNAMESE[:2]))
    ]
    calls: list[int] = []
    score = shelf.many.score
    shelf.many.score = lambda pairs: (calls.append(len(pairs)), score(pairs))[1]  # type: ignore[method-assign]
    english, *others = drive(shelf.reranker.stage(), rankings)
    assert {s.source for c in english for s in c.signals} == {"input", "english", "blend"}
    assert all({s.source for c in r for s in c.signals} == {"input", "many", "blend"} for r in others)
    assert calls == [5]  # rankings of one model share a call


def test_pairs_of_one_call_go_to_one_model(shelf: Shelf) -> None:
    assert shelf.reranker.score([(QUERY, ENGLISH[0]), ("", ENGLISH[1])][:1]).source == "english"
    both = shelf.reranker.score([(QUERY, ENGLISH[0]), (CAPITAL, VIETNAMESE[0])])
    assert both.source == "many" and both.values == (len(ENGLISH[0]), len(VIETNAMESE[0]))
    assert shelf.reranker.score([(TAMIL, TAMIL)]).source == "many"  # a score is asked for: the widest gives it
    assert shelf.reranker.score([]).source == "english"


def test_a_model_is_loaded_once_by_many_threads(shelf: Shelf) -> None:
    threads = [threading.Thread(target=shelf.reranker.rerank, args=(CAPITAL, VIETNAMESE)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shelf.loads == ["english", "many"]


def test_loading_takes_nothing_of_a_deadline(shelf: Shelf) -> None:
    import time

    slow = shelf.reranker.models["many"]
    load_now = slow.load

    def load_slowly() -> Reranker:
        if "many" not in shelf.loads:
            time.sleep(0.3)
        return load_now()

    shelf.reranker.models["many"] = LazyReranker("many", load_slowly, slow.fingerprint)
    ranking = shelf.reranker.rerank(CAPITAL, VIETNAMESE, deadline_ms=200)
    assert all(c.score for c in ranking) and "deadline" not in ranking.trace.reason


def test_the_model_whose_vectors_are_stored_goes_first(shelf: Shelf) -> None:
    class Stored:
        fingerprint = "print of many"

        def windows_of(self, document: Document) -> None:
            return None

        def pooled_of(self, document: Document) -> np.ndarray:
            return np.zeros(0, np.float32)

    unscored = Ranking.unscored(Query(QUERY), [Document("0", ENGLISH[0])])
    (ranking,) = drive(shelf.reranker.stage(store=Stored()), [unscored])
    assert notes(ranking) == [("model", "many: the index holds its token vectors")]
    other = Stored()
    other.fingerprint = "print of english"
    (ranking,) = drive(shelf.reranker.stage(store=other), [unscored])
    assert notes(ranking) == []
    assert shelf.reranker.fingerprints == ("print of english", "print of many")


def test_the_default_as_a_pipeline(shelf: Shelf) -> None:
    """It says what it does, and reads back; a blend without a weight takes that of the model that was chosen."""
    plan = shelf.reranker.pipeline(depth=50)
    assert str(plan) == "english | many@50 >> blend" and Pipeline.parse(str(plan)) == plan
    assert str(shelf.reranker.pipeline(False)) == "english | many"
    assert str(shelf.reranker.pipeline(0.5)) == "english | many >> blend(weight=0.5)"
    assert shelf.reranker.stage(False).name == "english | many" and plan.models == ("english", "many")


def test_a_scorer_that_knows_no_languages_reads_everything() -> None:
    class Plain:
        info = ModelInfo("plain", ScoreKind.LOGIT)

        def score(self, pairs: Sequence[Pair]) -> Scores:
            return Scores.of([0.0] * len(pairs), self.info)

    choice = choose([Reader("english", "en"), Plain()], [TAMIL], [])
    assert choice.position == 1 and choice.notes[0].code is NoteCode.MODEL


def test_a_rule_of_when_to_rerank_is_for_the_model_that_it_was_learned_for(shelf: Shelf, tmp_path: Path) -> None:
    """It skips English queries of one word, and is not applied where the language chooses the other model."""
    rule = WhenRule(
        "english@9 >> blend(weight=7)", {"english": "print of english"}, ("bm25",), "nDCG@10", 0.01,
        Expectation(-1.0, {"words": 1.0}), 20, Expectation(-1.5, {"words": 1.0}),
    )  # fmt: skip
    path = tmp_path / "when.json"
    path.write_text(json.dumps(rule.as_json()))
    text = f'when(rule="{path}", deeper=20) >> english | many@9 >> blend'
    assert str(Pipeline.parse(text)) == text
    assert str(shelf.reranker.pipeline(depth=9, when=str(path))) == text.replace(", deeper=20", "")
    index = Index.of([*(ENGLISH[0] + " It burned." * i for i in range(15)), *VIETNAMESE], embedder=False)

    def search(query: str) -> Ranking:
        return index.search(query, depth=9, reranker=shelf.reranker, when=path)

    skipped = search("lamp")
    assert not skipped.trace.reranked and notes(skipped)[0][1].startswith("not reranked: the expected gain is")
    assert not shelf.english.pairs and search("keeper lamp").trace.reranked and shelf.loads == ["english"]
    other = search(CAPITAL)
    assert other.trace.reranked and [code for code, _ in notes(other)] == ["when", "model"]
    assert "not applied: it was learned for english@9 >> blend(weight=7), and this is many@9" in notes(other)[0][1]
    stage = Pipeline.parse(text).stage(lambda name: shelf.reranker.models[name].load().judge)
    before = shelf.english.pairs
    (deep,) = drive(stage, index.retriever.retrieve([Query("keeper lamp lit tower")], 20))
    assert "reranked to depth 20" in notes(deep)[0][1] and shelf.english.pairs == before + len(deep)
    path.unlink()
    with pytest.raises(resift.InputError, match="can't read the rule"):
        Pipeline.parse(text).stage(lambda name: shelf.reranker.models[name].load().judge)


def test_a_threshold_needs_one_model(shelf: Shelf) -> None:
    """A calibration is of one model, so that several have none."""
    with pytest.raises(resift.InputError, match="without a calibration"):
        shelf.reranker.rerank(QUERY, ENGLISH, min_relevance=0.5)
    with pytest.raises(resift.errors.ResiftError, match="resift-mini-en"):
        resift.load(calibrated="/nowhere")


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of bundled models that holds contracts alone."""
    for names, family, kind in ((RERANKERS, "late", "maxsim"), (EMBEDDERS, "static", "cosine")):
        for name, languages in zip(names, (["en"], ["en", "vi", "zh"]), strict=True):
            (tmp_path / name).mkdir()
            contract = {"name": name, "family": family, "kind": kind, "max_tokens": 64, "window_tokens": 64}
            (tmp_path / name / "contract.json").write_text(json.dumps(contract | {"languages": languages}))
    monkeypatch.setattr(load, "BUNDLED", tmp_path)
    yield tmp_path


def test_the_models_of_a_collection(shipped: Path) -> None:
    """More than one text of twenty in a language that only the second reads; Tamil, which none reads, is no reason."""
    few, many = [*ENGLISH * 10][:19] + VIETNAMESE[:1], [*ENGLISH * 9] + VIETNAMESE[:2]
    for texts, expected in ((ENGLISH, 0), (few, 0), (many, 1), (VIETNAMESE, 1), ([TAMIL] * 9, 0), ([], 0)):
        models = DefaultModels(lambda texts=texts: texts)
        assert (models.late_interaction, models.embedder) == (RERANKERS[expected], EMBEDDERS[expected]), texts[:1]


def test_a_default_that_does_not_ship_is_passed_over(shipped: Path) -> None:
    """Nothing is read then: there is no choice."""

    def no_sample() -> Sequence[str]:
        raise AssertionError("there is no choice")

    shutil.rmtree(shipped / EMBEDDERS[1])
    assert [c.name for c in bundled(EMBEDDERS)] == [EMBEDDERS[0]]
    assert preferred(EMBEDDERS, no_sample) == EMBEDDERS[0] and preferred(RERANKERS, lambda: VIETNAMESE) == RERANKERS[1]


def test_the_sample_of_a_collection_is_spread_over_its_files(tmp_path: Path) -> None:
    for i in range(300):
        (tmp_path / f"{i:03}.txt").write_text("\n\n".join(f"Passage {i} {j} " + "word " * 300 for j in range(9)))
    (tmp_path / "broken.jsonl").write_text("{")
    texts = sample_of([str(tmp_path)])
    files = sorted({text.split()[1] for text in texts})
    assert len(files) >= 75 and files[-1] >= "297" and len(texts) <= 500


@needs_multi
def test_an_index_takes_the_models_of_its_languages(tmp_path: Path) -> None:
    """And keeps them; stored vectors give the scores that are made on the fly, and all queries get their model."""
    (tmp_path / "vi.txt").write_text("\n\n".join(f"{text} " * 3 for text in VIETNAMESE), "utf-8")
    (tmp_path / "en.txt").write_text("\n\n".join(f"{text} " * 3 for text in ENGLISH * 2), "utf-8")
    Index.build(tmp_path / "en", tmp_path / "en.txt", tensors=True)
    Index.build(tmp_path / "i", tmp_path, tensors=True)
    for name, model in (("en", "resift-mini-en"), ("i", "resift-mini-multi")):
        Index.build(tmp_path / name, tmp_path / "en.txt")
        settings = settings_of(tmp_path / name)
        assert settings and (settings.model, settings.embedder) == (model, "")
    index = Index.open(tmp_path / "i")
    stored = index.search(CAPITAL, blend=False)
    assert notes(stored)[0] == ("model", "resift-mini-multi: the index holds its token vectors")
    assert notes(index.search(QUERY))[0] == notes(stored)[0]
    multi = resift.load("resift-mini-multi")
    fresh = multi.rerank(CAPITAL, [c.document for c in stored])
    assert [c.score.value for c in stored if c.score] == pytest.approx(
        [c.score.value for c in fresh if c.score], abs=1e-6
    )
    assert [c.document.id for c in stored] == [c.document.id for c in fresh]
    assert "Oslo" in stored[0].document.text and stored.trace.steps[-1].tokens < fresh.trace.steps[-1].tokens


@needs_multi
def test_search_in_memory_follows_the_language(tmp_path: Path) -> None:
    (tmp_path / "vi.txt").write_text("\n\n".join(VIETNAMESE), "utf-8")
    ranking = resift.search(CAPITAL, tmp_path)
    assert ranking.trace.reranked and ranking[0].document.text.startswith("Oslo")
    assert ("model", "resift-mini-multi: the query and the texts are vi") in notes(ranking)
    tamil = resift.search(TAMIL, tmp_path)
    assert not tamil.trace.reranked and "the query is ta" in tamil.trace.reason
    named = resift.search(CAPITAL, tmp_path, model="resift-mini-en")
    assert named.trace.reranked and "reranked all the same, since resift-mini-en was named" in named.trace.reason


INPUTS = {
    "mixed scripts": ("thủ đô của Na Uy", ["Oslo 是挪威的首都 — thủ đô của Na Uy, столица Норвегии", "Bánh mì nướng"]),
    "traditional over simplified Chinese": (
        "如何重置忘記的密碼",
        ["打开设置，重置忘记的密码。", "面包要烤到外皮变深。"],
    ),
    "full-width Latin": ("ｃａｐｉｔａｌ ｏｆ Ｎｏｒｗａｙ", ["Oslo is the capital of Norway.", "Bread is baked."]),
    "a Vietnamese question over English": (CAPITAL, ["Oslo is the capital of Norway.", "Bread is baked."]),
    "an English question over Vietnamese": ("capital of Norway", VIETNAMESE),
    "emoji alone": ("😀", ["😀 a happy face", "🍞", "a recipe"]),
    "texts of emoji alone": ("how is bread baked", ["Bread is baked in an oven.", "🍞🔥", "😀😀😀"]),
}


@needs_multi
@pytest.mark.parametrize("case", list(INPUTS))
def test_unusual_texts_are_judged(case: str) -> None:
    query, texts = INPUTS[case]
    ranking = resift.load().rerank(query, texts)
    assert ranking.trace.reranked and all(c.score for c in ranking)
    assert ranking[0].document.text == texts[0], [(c.document.text, c.score) for c in ranking]


def test_emoji_are_all_alike_to_a_model_without_them() -> None:
    """ "😀" against "🍞" had a score of 1: both are the unknown token."""
    mini = resift.load("resift-mini-en")
    assert "the query is in signs that its vocabulary lacks" in mini.rerank("😀", ["🍞", "a smile"]).trace.reason
    assert not mini.rerank("smile 😀", ["🍞", "a smile"]).trace.reason


@needs_multi
def test_vietnamese_without_diacritics_is_judged() -> None:
    """By the multilingual model, as the passages are Vietnamese; that it understands such words is not promised."""
    ranking = resift.load().rerank("thu do cua na uy la gi", VIETNAMESE)
    assert notes(ranking) == [("model", "resift-mini-multi: the texts are vi")] and all(c.score for c in ranking)


@needs_multi
@pytest.mark.parametrize("name", ["resift-mini-multi", "resift-mini-en"])
def test_decomposed_text_scores_as_composed_text(name: str) -> None:
    reranker = resift.load(name)
    decomposed = [unicodedata.normalize("NFD", text) for text in (CAPITAL, *VIETNAMESE)]
    assert decomposed[1:] != VIETNAMESE
    composed = reranker.score([(CAPITAL, text) for text in VIETNAMESE]).values
    assert reranker.score([(decomposed[0], text) for text in decomposed[1:]]).values == composed


def test_decomposed_words_match_composed_ones() -> None:
    index = Index.of(VIETNAMESE, embedder=False)
    composed = index.search(CAPITAL, reranker=False)
    decomposed = index.search(unicodedata.normalize("NFD", CAPITAL), reranker=False)
    assert [(c.document.id, c.score) for c in decomposed] == [(c.document.id, c.score) for c in composed]
    stored = Index.of([unicodedata.normalize("NFD", text) for text in VIETNAMESE], embedder=False)
    again = stored.search(CAPITAL, reranker=False)
    assert [c.document.id for c in again] == [c.document.id for c in composed]


def test_decomposed_and_full_width_text_is_of_its_language() -> None:
    for text in (CAPITAL, *VIETNAMESE):
        assert guess(unicodedata.normalize("NFD", text)) == guess(text) == "vi"
    assert guess("ｗｈａｔ ｉｓ ｔｈｅ ｃａｐｉｔａｌ") == "en"
    assert guess("toi khong dang nhap duoc vao tai khoan cua toi") == "vi"


@pytest.mark.parametrize("name", [None, "resift-mini-en", pytest.param("resift-mini-multi", marks=needs_multi)])
def test_texts_of_emoji_alone(name: str | None) -> None:
    """They are scored, or the order stays; nothing is lost and nothing is made up."""
    reranker = resift.load(name)
    ranking = reranker.rerank("🎉🎉", ["Oslo is the capital of Norway.", "🎉", "🇳🇴🇻🇳"])
    assert sorted(c.document.id for c in ranking) == ["0", "1", "2"]
    assert all(c.score is not None or c.flags or ranking.trace.reason for c in ranking)
