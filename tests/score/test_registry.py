"""The table of checkpoints: well-formed, honest about what is not known, never at odds with the files in silence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import resift
from resift.errors import BrokenModel, UnknownFamily
from resift.models import registry
from resift.models.contract import Contract
from resift.models.families import FAMILIES, supported
from resift.models.folder import ModelFolder
from resift.models.recognition import read_contract
from resift.models.registry import applied, bundled_row, parse, row_of, rows, select, with_row
from resift.score.load import find_model
from tests.checkpoints import cross_encoder

GOOD = """
[[model]]
id = "a/b"
family = "encoder"
architecture = "bert"
kind = "logit"
labels = 1
truncation = "only_second"
max_tokens = 32
languages = ["vi"]
parameters = "unknown"
license = "MIT"
commercial = "yes"
source = { facts = "its card", license = "unverified" }
"""


def contract_of(name: str, folder: Path) -> Contract:
    return with_row(read_contract(folder), name, ModelFolder(folder))


def test_the_table_names_what_the_field_uses() -> None:
    ids = rows().keys()
    assert len(ids) >= 80
    assert {
        "BAAI/bge-reranker-base", "BAAI/bge-reranker-large", "BAAI/bge-reranker-v2-m3", "Qwen/Qwen3-Reranker-0.6B",
        "maidalun1020/bce-reranker-base_v1", "jinaai/jina-reranker-v1-tiny-en", "jinaai/jina-reranker-v1-turbo-en",
        "jinaai/jina-reranker-v2-base-multilingual", "mixedbread-ai/mxbai-rerank-xsmall-v1",
        "mixedbread-ai/mxbai-rerank-base-v1", "mixedbread-ai/mxbai-rerank-large-v1",
        "cross-encoder/ms-marco-TinyBERT-L2-v2", "cross-encoder/ms-marco-MiniLM-L6-v2",
        "cross-encoder/ms-marco-MiniLM-L12-v2", "amberoad/bert-multilingual-passage-reranking-msmarco",
        "hotchpotch/japanese-reranker-cross-encoder-xsmall-v1", "Alibaba-NLP/gte-reranker-modernbert-base",
        "Alibaba-NLP/gte-multilingual-reranker-base", "namdp-ptit/ViRanker", "AITeamVN/Vietnamese_Reranker",
        "itdainb/PhoRanker", "colbert-ir/colbertv2.0", "answerdotai/answerai-colbert-small-v1",
        "jinaai/jina-colbert-v2", "lightonai/GTE-ModernColBERT-v1", "mixedbread-ai/mxbai-edge-colbert-v0-17m",
        "BAAI/bge-m3", "sentence-transformers/all-MiniLM-L6-v2", "maidalun1020/bce-embedding-base_v1",
        "intfloat/multilingual-e5-base", "intfloat/e5-base-v2", "hiieu/halong_embedding",
        "keepitreal/vietnamese-sbert", "VoVanPhuc/sup-SimCSE-VietNamese-phobert-base", "minishlab/potion-base-8M",
        "castorini/rank_zephyr_7b_v1_full",
    } <= ids  # fmt: skip
    assert {r.family for r in rows().values()} < set(FAMILIES)


@pytest.mark.parametrize("row", rows().values(), ids=lambda r: r.id)
def test_every_fact_has_an_origin(row: registry.CheckpointRow) -> None:
    assert row.source["facts"]
    if row.license == "unknown":
        assert row.commercial == "unknown" and "license" not in row.source
    if "nc" in row.license.split("-"):
        assert row.commercial == "no"
    if row.family == "encoder":
        assert row.labels in (1, 2) and row.kind == "logit"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('family = "encoder"', 'family = "wizard"'), "family"),
        (('kind = "logit"', 'kind = "stars"'), "kind"),
        (("max_tokens = 32", "max_tokens = -1"), "a number"),
        (("max_tokens = 32", ""), "no max_tokens"),
        (('languages = ["vi"]', 'languages = ["Vietnamese"]'), "languages"),
        (('"only_second"', '"only_first"'), "truncation"),
        (('commercial = "yes"', 'commercial = "maybe"'), "commercial"),
        (('license = "unverified"', 'licence = "unverified"'), "source"),
        (("labels = 1", "labels = 1\nstars = 5"), "unknown entries"),
        (('facts = "its card", ', ""), "source"),
    ],
)
def test_a_malformed_row_is_refused(change: tuple[str, str], message: str) -> None:
    assert parse(GOOD)["a/b"].verified("family") and not parse(GOOD)["a/b"].verified("license")
    assert parse(GOOD)["a/b"].parameters is None
    with pytest.raises(ValueError, match=f"a/b.*{message}"):
        parse(GOOD.replace(*change))


def test_one_row_per_checkpoint() -> None:
    with pytest.raises(ValueError, match="two rows"):
        parse(GOOD + GOOD)


def test_selection() -> None:
    everything = rows().values()
    assert select(everything) == list(everything)
    vietnamese = {r.id for r in select(everything, language="vi", license="commercial", max_tokens=2048)}
    assert {"BAAI/bge-reranker-v2-m3", "AITeamVN/Vietnamese_Reranker"} <= vietnamese
    assert not {"itdainb/PhoRanker", "jinaai/jina-reranker-v3", "namdp-ptit/ViRanker"} & vietnamese  # 256, NC, unknown
    assert {r.license for r in select(everything, license="mit")} == {"MIT"}
    assert {r.family for r in select(everything, family="late")} == {"late"}


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(supported()) - {"hosted"}))
def test_families_to_come_are_refused_before_anything_is_fetched(family: str) -> None:
    row = next(r for r in rows().values() if r.family == family)
    with pytest.raises(UnknownFamily, match=f"family {family} .* is not supported yet; supported: encoder, late"):
        resift.load(row.id)


def test_a_name_that_holds_an_id_is_not_the_model(tmp_path: Path) -> None:
    folder = cross_encoder(tmp_path / "BAAI" / "bge-reranker-base", "bert")
    config = json.loads((folder / "config.json").read_text()) | {"_name_or_path": "BAAI/bge-reranker-base"}
    (folder / "config.json").write_text(json.dumps(config))
    assert row_of(str(folder), ModelFolder(folder)) is None
    assert contract_of(str(folder), folder).license == ""


def hub_copy(tmp_path: Path, row_id: str, **settings: object) -> Path:
    """A folder where the hub's cache would keep this id."""
    kept = tmp_path / f"models--{row_id.replace('/', '--')}" / "snapshots" / "0123abc"
    return cross_encoder(kept, "xlm-roberta", limit=512, **settings)  # type: ignore[arg-type]


def test_the_hub_cache_says_what_a_folder_is(tmp_path: Path) -> None:
    folder = hub_copy(tmp_path, "BAAI/bge-reranker-base")
    contract = resift.load(folder, precision="f32").scorer.contract
    assert (contract.name, contract.license, contract.languages) == ("BAAI/bge-reranker-base", "MIT", ("zh", "en"))
    assert (contract.max_tokens, contract.input.truncation, contract.parameters) == (512, "only_second", 278_000_000)
    plain = shutil.copytree(folder, tmp_path / "plain")
    assert resift.load(plain).score([("a", "b")]).values == pytest.approx(
        resift.load(folder).score([("a", "b")]).values, abs=1e-4
    )


def test_a_contract_in_the_folder_goes_before_the_table(tmp_path: Path) -> None:
    folder = hub_copy(tmp_path, "BAAI/bge-reranker-base")
    replace(contract_of(str(folder), folder), name="mine", license="secret").write(folder)
    assert resift.load(folder).scorer.contract.license == "secret"


def test_table_and_files_that_disagree_are_refused(tmp_path: Path) -> None:
    folder = hub_copy(tmp_path, "cross-encoder/ms-marco-MiniLM-L6-v2")
    with pytest.raises(BrokenModel, match="table of models says architecture bert, the files say xlm-roberta"):
        resift.load(folder)


def test_an_unverified_fact_gives_way_with_a_warning(tmp_path: Path) -> None:
    folder = hub_copy(tmp_path, "BAAI/bge-reranker-v2-m3")  # whose 8192 tokens are unverified
    with pytest.warns(UserWarning, match="max_tokens 8192, the files say 513; the files are believed"):
        contract = resift.load(folder).scorer.contract
    assert contract.max_tokens == 512


def test_a_row_completes_a_contract() -> None:
    derived = replace(contract_of("resift-mini-en", find_model("resift-mini-en")), golden=(), family="encoder")
    row = parse(GOOD)["a/b"]
    done = applied(replace(derived, kind=resift.ScoreKind.LOGIT), row, {"model_type": "bert", "id2label": {"0": "x"}})
    assert (done.name, done.max_tokens, done.window_tokens, done.languages) == ("a/b", 32, 32, ("vi",))
    assert done.parameters == derived.parameters
    with pytest.raises(BrokenModel, match="labels 1, the files say 2"):
        applied(replace(derived, kind=resift.ScoreKind.LOGIT), row, {"id2label": {"0": "x", "1": "y"}})


PUBLISHED = """
[[texts]]
id = "t"
query = "lamp"
documents = ["a lamp", "bread"]

[[benchmark]]
id = "law"
language = "vi"
measure = "nDCG@10"
on = "ten questions"
source = "a paper"
"""
NUMBERS = """figures = { law = 0.5 }
golden = { texts = "t", scores = [1.5, -2], scale = "logit", tolerance = 0.1, precision = "f32", source = "a card" }
"""


def test_published_numbers_of_a_row() -> None:
    row = parse(PUBLISHED + GOOD + NUMBERS)["a/b"]
    (figure,) = row.figures
    assert (figure.value, figure.benchmark.measure, figure.benchmark.source) == (0.5, "nDCG@10", "a paper")
    assert [(g.query, g.document, g.score) for g in row.golden] == [("lamp", "a lamp", 1.5), ("lamp", "bread", -2)]
    assert {(g.scale, g.tolerance, g.precision, g.source) for g in row.golden} == {("logit", 0.1, "f32", "a card")}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("law = 0.5", "war = 0.5", "war"),
        ("law = 0.5", "law = 50", "50 is no share"),
        ('texts = "t"', 'texts = "u"', "u"),
        ("[1.5, -2]", "[1.5]", "shorter|longer"),
        ('"logit"', '"stars"', "scale is one of logit, probability"),
        ("tolerance = 0.1, ", "", "tolerance"),
    ],
)
def test_malformed_numbers_are_refused(old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"a/b: figures or golden.*({message})"):
        parse(PUBLISHED + GOOD + NUMBERS.replace(old, new))


def test_the_fields_published_scores_are_there() -> None:
    """For every encoder of the list that sentence-transformers tests, with one score for each of its documents."""
    golden = {name: row.golden for name, row in rows().items() if row.golden}
    assert len(golden) >= 23 and {len(scores) for scores in golden.values()} == {4}
    assert all(rows()[name].supported for name in golden)
    scales = {name: scores[0].scale for name, scores in golden.items()}
    assert scales["cross-encoder/ms-marco-MiniLM-L6-v2"] == scales["cross-encoder/ettin-reranker-32m-v1"] == "logit"
    assert scales["BAAI/bge-reranker-v2-m3"] == "probability"
    assert all(0 <= g.score <= 1 for scores in golden.values() for g in scores if g.scale == "probability")


def test_the_bundled_model_shows_what_was_measured() -> None:
    row = bundled_row(read_contract(find_model("resift-mini-multi")))
    measured = json.loads((Path(__file__).parents[2] / "bench/results/multilingual.json").read_text())["sets"]
    sets = {"vi": "vi_vicov19qa", "zh": "zh_qbqtc", "ja": "ja_jsquad"}
    assert {figure.benchmark.language for figure in row.figures} == sets.keys()
    for figure in row.figures:
        entry = measured[sets[figure.benchmark.language]]
        assert abs(figure.value - entry["default"]["nDCG@10"]) < 6e-4
        assert f"BM25 alone {entry['bm25']['nDCG@10']:.3f}" in figure.benchmark.on
        assert f"{entry['queries']} queries" in figure.benchmark.on
