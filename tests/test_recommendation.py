"""Which reranker is recommended for a language, from rows alone: no name decides."""

from dataclasses import replace

import pytest

from resift.errors import InputError
from resift.models.published import Benchmark, Figure
from resift.models.recommendation import figures_for, recommend
from resift.models.registry import CheckpointRow, bundled_row, rows, select
from resift.score.load import bundled_models
from resift.text.language_names import LANGUAGES, language_code

ENGLISH = next(row for row in map(bundled_row, bundled_models()) if row.id == "resift-mini-en")
MANY_LISTED = replace(ENGLISH, id="a-new-one", languages=("en", "vi", "zh", "ja"), parameters=60_000_000)
BUNDLED = {ENGLISH.id, MANY_LISTED.id}
LAW, NEWS, WORLD = (
    Benchmark(name, language, "MRR@10", name, "a paper")
    for name, language in (("law", "vi"), ("news", "vi"), ("world", "multi"))
)


def made(name: str, **facts: object) -> CheckpointRow:
    source = {"facts": "its card"}
    row = CheckpointRow(f"a/{name}", "encoder", "bert", "logit", source, languages=("vi",), commercial="yes")
    return replace(row, **facts)  # type: ignore[arg-type]


def name_of(language: str, *candidates: CheckpointRow) -> str:
    best = recommend(language, select(candidates, language), BUNDLED)
    return best.row.id if best else ""


def test_a_bundled_model_comes_first_and_the_most_special_of_them() -> None:
    good = made("good", figures=(Figure(LAW, 0.9),))
    assert name_of("en", ENGLISH, MANY_LISTED) == name_of("en", MANY_LISTED, ENGLISH) == "resift-mini-en"
    assert name_of("vi", ENGLISH, MANY_LISTED, good) == "a-new-one"
    assert name_of("vi", ENGLISH, good) == "a/good"
    embedder = replace(MANY_LISTED, family="static")
    assert name_of("vi", embedder, good) == "a/good"  # it scores no pairs


def test_the_best_in_the_benchmark_of_most_models() -> None:
    alone = made("alone", figures=(Figure(NEWS, 0.95),))
    better, worse = made("better", figures=(Figure(LAW, 0.7),)), made("worse", figures=(Figure(LAW, 0.6),))
    best = recommend("vi", [alone, worse, better], BUNDLED)
    assert best is not None and (best.row.id, best.bundled, best.compared) == ("a/better", False, 2)
    assert best.figure == Figure(LAW, 0.7)


@pytest.mark.parametrize(
    ("fact", "value"),
    [("commercial", "no"), ("commercial", "unknown"), ("segmentation", "vi"), ("family", "hosted"),
     ("family", "embedder")],
)  # fmt: skip
def test_what_is_not_recommended(fact: str, value: str) -> None:
    first = made("first", figures=(Figure(LAW, 0.9),), **{fact: value})
    second = made("second", figures=(Figure(LAW, 0.1),))
    assert name_of("vi", first, second) == "a/second"
    assert name_of("vi", first) == ""


def test_without_figures_of_the_language() -> None:
    """Those over many languages count, but for English, and without any the size."""
    world = made("world", languages=("multi",), figures=(Figure(WORLD, 0.5),))
    large, small = (made(name, parameters=size, languages=("multi",)) for name, size in (("large", 50), ("small", 5)))
    assert name_of("vi", large, world, small) == name_of("sw", small, world, large) == "a/world"
    assert name_of("en", small, world, large) == name_of("sw", small, large) == "a/large"
    assert figures_for(world, "vi") == [Figure(WORLD, 0.5)] and figures_for(world, "en") == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_is_one_for_every_language(language: str) -> None:
    row = rows()[name_of(language, *rows().values())]
    assert row.supported and row.commercial == "yes" and ({language, "multi"} & {*row.languages})


@pytest.mark.parametrize(
    ("language", "code"),
    [("vi", "vi"), ("VI", "vi"), ("Vietnamese", "vi"), (" vietnamese ", "vi"), ("zh-Hant-TW", "zh"), ("pt_BR", "pt"),
     ("Northern Sami", "se"), ("luba-katanga", "lu")],
)  # fmt: skip
def test_codes_and_names_of_languages(language: str, code: str) -> None:
    assert language_code(language) == code


@pytest.mark.parametrize(
    ("language", "hint"),
    [("Vietnamees", "the nearest: vi (Vietnamese)"), ("germn", "the nearest: de (German)"),
     ("qq", "the nearest: sq (Albanian), qu (Quechua)"),
     ("", "say vi, or"), ("日本語", "say vi, or")],
)  # fmt: skip
def test_no_language(language: str, hint: str) -> None:
    with pytest.raises(InputError) as refusal:
        language_code(language)
    assert f"{language!r} is no code (ISO 639-1) or English name of a language; {hint}" in str(refusal.value)


def test_the_table_of_languages() -> None:
    assert len(LANGUAGES) == len(set(LANGUAGES.values())) == 182
    assert all(len(code) == 2 and code.islower() and code.isascii() for code in LANGUAGES)
    listed = {language for row in rows().values() for language in row.languages} - {"multi"}
    assert listed <= LANGUAGES.keys()
