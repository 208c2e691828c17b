"""Every format's file, read as its engine reads it, scores as the library does; what it can't express is refused."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resift.errors import InputError, ModelError
from resift.trees import FORMATS, Ensemble, Tree, export
from resift.trees.feature_queries import feature_queries
from resift.trees.formats import elasticsearch, ranklib, solr, vespa, xgboost_dump
from resift.trees.formats.format import Request, Written
from resift.trees.formats.solr import _SLACK, _written
from resift.trees.parity import parity
from resift.trees.thresholds import first_right, last_left
from tests.trees.models import ABSENT, NAMES, boosters, deciding_rows, ensemble_of, library_scores, train_lightgbm

MODELS = ["lightgbm complete", "lightgbm absent", "xgboost complete", "xgboost absent"]
DIRECTIONLESS = "ranklib"  # the format without a direction of missing values


def request(ensemble: Ensemble, never_missing: bool = False) -> Request:
    return Request(ensemble, feature_queries(ensemble.features), "m", "m.json", never_missing)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("format_name", FORMATS)
def test_every_threshold_keeps_its_side(name: str, format_name: str) -> None:
    """Each threshold, the numbers next to it, and absent values: the engine's score beside the library's own."""
    booster, form = boosters()[name], FORMATS[format_name]
    ensemble = ensemble_of(booster)
    absent = format_name != DIRECTIONLESS or ensemble.missing_is_zero
    written = form.write(request(ensemble, never_missing=not absent))
    rows = deciding_rows(ensemble, np.float32 if ensemble.library == "xgboost" else form.precision, absent)
    for gap in written.gaps:
        assert gap.high - gap.low < 1e-12 and format_name == "solr"
        column = rows[:, gap.feature]
        rows = rows[~((column > gap.low) & (column <= gap.high))]
    assert len(rows) > 200
    exact = ensemble.library == "xgboost" and format_name in ("ranklib", "xgboost-json", "solr")
    exact = exact or (ensemble.library == "lightgbm" and format_name == "vespa")
    tolerance = 1e-12 if form.sums is np.float64 and ensemble.library == "lightgbm" else 2e-6
    difference = np.abs(form.scores(written.content, NAMES, rows) - library_scores(booster, rows)).max()
    assert difference <= (0 if exact else tolerance * ensemble.scale)


def one_split(library: Any, threshold: float, default_left: bool = True, base_score: float = 0.0) -> Ensemble:
    """One split: outputs 1 on the left and 2 on the right."""
    tree = Tree(
        np.array([0, -1, -1], np.int32), np.array([threshold, 0, 0]), np.array([default_left, False, False]),
        np.array([1, -1, -1], np.int32), np.array([2, -1, -1], np.int32), np.array([0.0, 1.0, 2.0]),
    )  # fmt: skip
    return Ensemble((tree,), ("x",), 1, library, base_score)


THRESHOLDS = st.floats(allow_nan=False, min_value=-1e30, max_value=1e30)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(threshold=THRESHOLDS, value=FLOATS, step=st.sampled_from([-np.inf, 0.0, np.inf]))
def test_float32_thresholds_keep_every_float32_value_on_its_side(threshold: float, value: float, step: float) -> None:
    """A value anywhere, and the float32 numbers around the threshold."""
    near = np.float32(threshold)
    values = [np.float32(value), near if step == 0 else np.nextafter(near, np.float32(step))]
    for library, limit in (("lightgbm", threshold), ("xgboost", float(near))):
        ensemble = one_split(library, limit)
        tree = ensemble.trees[0]
        closed, opened = (rule(ensemble, tree, 0, np.float32) for rule in (last_left, first_right))
        for number in map(float, values):
            goes_left = number <= limit if library == "lightgbm" else number < limit
            assert (number <= closed) == goes_left == (number < opened)
            assert np.float32(closed) == closed and np.float32(opened) == opened


@given(threshold=THRESHOLDS)
def test_float64_thresholds_of_less_than(threshold: float) -> None:
    ensemble = one_split("lightgbm", threshold)
    opened = first_right(ensemble, ensemble.trees[0], 0, np.float64)
    assert threshold < opened == np.nextafter(threshold, np.inf)
    assert first_right(one_split("xgboost", 0.5), one_split("xgboost", 0.5).trees[0], 0, np.float64) == 0.5


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(("library", "threshold"), [
    ("lightgbm", np.inf), ("lightgbm", 1e300), ("lightgbm", -1e300), ("xgboost", float(np.finfo(np.float32).min)),
    ("xgboost", np.inf),
])  # fmt: skip
@pytest.mark.parametrize("default_left", [True, False])
def test_nodes_that_only_separate_missing_values(
    format_name: str, library: str, threshold: float, default_left: bool
) -> None:
    """Their threshold is beyond all values: every finite one goes to the same side in every engine."""
    ensemble = one_split(library, threshold, default_left)
    form = FORMATS[format_name]
    never_missing = format_name == DIRECTIONLESS
    written = form.write(request(ensemble, never_missing))
    rows = np.array([[0.0], [1e30], [-1e30]] + ([] if never_missing else [[np.nan]]))
    side = 1 if threshold > 0 else 2
    missing = [] if never_missing else [1 if default_left else 2]
    assert ensemble.predict(rows).tolist() == [side, side, side, *missing]
    assert form.scores(written.content, ("x",), rows).tolist() == [side, side, side, *missing]
    assert parity(ensemble, written, form, 30, not never_missing)


@given(st.floats(min_value=2.0**-16, max_value=2.0**100, width=32))
def test_solr_reads_the_threshold_that_was_meant(threshold: float) -> None:
    """It adds 0.000001 to what is written; for positive thresholds some number always becomes the one that is meant."""
    assert np.float32(_written(np.float32(threshold)) + _SLACK) == np.float32(threshold)


@given(FLOATS)
def test_solr_leaves_zero_on_its_side(threshold: float) -> None:
    read = np.float32(_written(np.float32(threshold)) + _SLACK)
    assert (read >= 0) == (threshold >= 0)
    assert abs(float(read) - threshold) <= max(1e-12, abs(threshold) * 3e-7)


def test_solr_says_which_thresholds_it_moves() -> None:
    """LightGBM separates 0 from what is above it by 1e-35, which Solr can't hold."""
    written = solr.write(request(one_split("lightgbm", 1.0000000180025095e-35)))
    (gap,) = written.gaps
    assert gap.feature == 0 and 0 <= gap.low < gap.high < 1e-12
    assert "can't hold 1 of them exactly" in written.notes[-1]
    assert not solr.write(request(one_split("lightgbm", 0.25))).gaps
    below = solr.write(request(one_split("lightgbm", -1e-35), never_missing=True))
    assert below.gaps[0].high < 0
    assert solr.scores(below.content, ("x",), np.array([[0.0], [-1e-6]])).tolist() == [2, 1]


def test_solr_refuses_thresholds_that_it_can_not_come_near() -> None:
    low, high = np.float32(-2), np.float32(0)
    while np.nextafter(low, high) + _SLACK < -1.9:  # among the numbers just above -2, one is not reached
        low = np.nextafter(low, high)
        if np.float32(_written(low) + _SLACK) != low:
            break
    with pytest.raises(InputError, match="Solr adds 0.000001 to every threshold, and no number gives -1.99999"):
        solr.write(request(one_split("lightgbm", float(low), False)))


# What engines read, by hand.


def values(*numbers: float) -> Any:
    return np.array([numbers], np.float64)


def test_solrs_own_example() -> None:
    """The model of Solr's documentation, and the scores of Solr's tests: 30 where the title matches, else -120."""
    model = {
        "class": "org.apache.solr.ltr.model.MultipleAdditiveTreesModel",
        "name": "multipleadditivetreesmodel",
        "features": [{"name": "matchedTitle"}, {"name": "originalScore"}],
        "params": {
            "trees": [
                {
                    "weight": "1",
                    "root": {
                        "feature": "matchedTitle", "threshold": "0.5", "left": {"value": "-100"},
                        "right": {
                            "feature": "originalScore", "threshold": "10.0",
                            "left": {"value": "50"}, "right": {"value": "75"},
                        },
                    },
                },
                {"weight": "2", "root": {"value": "-10"}},
            ]
        },
    }  # fmt: skip
    names = ("matchedTitle", "originalScore")
    content = json.dumps(model).encode()
    for row, score in (
        ((1, 1), 30),
        ((0, 1), -120),
        ((1, 11), 55),
        ((1, 10), 30),
        ((np.nan, 1), -120),
        ((0.5, 1), -120),
    ):
        assert solr.scores(content, names, values(*row)) == score, row
    model["params"]["isNullSameAsZero"] = "false"
    for tree in model["params"]["trees"]:
        _say_missing(tree["root"], "right")
    assert solr.scores(json.dumps(model).encode(), names, values(np.nan, 1)) == 30


def _say_missing(node: dict[str, Any], side: str) -> None:
    if "feature" in node:
        node["missing"] = side
        _say_missing(node["left"], side)
        _say_missing(node["right"], side)


def test_ranklibs_format() -> None:
    text = (
        "## LambdaMART\n<ensemble>\n"
        '<tree id="1" weight="0.5"><split><feature>2</feature><threshold>0.25</threshold>'
        '<split pos="left"><output>2.0</output></split><split pos="right"><output>4.0</output></split></split></tree>\n'
        '<tree id="2" weight="1.0"><split><output>10.0</output></split></tree>\n</ensemble>\n'
    )
    for row, score in (((9, 0.25), 11), ((9, 0.26), 12), ((9, np.nan), 11), ((9, -1), 11)):
        assert ranklib.scores(text.encode(), ("a", "b"), values(*row)) == score


def test_ranklibs_parser_finds_no_white_space() -> None:
    """It takes first children, so that a text between elements would be one; lines before the XML begin with "#"."""
    text = ranklib.write(request(ensemble_of(boosters()["lightgbm complete"]))).content.decode()
    lines = text.splitlines()
    assert lines[0] == "## LambdaMART" and all(lines) and not any(line != line.strip() for line in lines)
    for element in ElementTree.fromstring("".join(line for line in lines if line[0] != "#")).iter():
        assert (element.text or "").strip() == (element.text or "")
        assert element.tail is None


def test_the_plugins_xgboost_format() -> None:
    dump = [
        {"nodeid": 0, "leaf": 10.0},
        {
            "nodeid": 0, "depth": 0, "split": "b", "split_condition": 0.25, "yes": 1, "no": 2, "missing": 2,
            "children": [{"nodeid": 1, "leaf": 1.0}, {"nodeid": 2, "leaf": 2.0}],
        },
    ]  # fmt: skip
    for row, score in (((9, 0.24), 11), ((9, 0.25), 12), ((9, np.nan), 12)):
        assert xgboost_dump.scores(json.dumps(dump).encode(), ("a", "b"), values(*row)) == score
    written = json.loads(xgboost_dump.write(request(one_split("xgboost", 0.25, False, 10))).content)
    assert [tree["nodeid"] for tree in written] == [0, 0] and written[0] == {"nodeid": 0, "leaf": 10}
    node = written[1]
    keys = {"nodeid", "depth", "split", "split_condition", "yes", "no", "missing", "children"}
    assert node.keys() == keys and node["missing"] == node["no"] == node["children"][1]["nodeid"]


def test_the_dump_is_xgboosts_own() -> None:
    """Node for node, beside what XGBoost itself prints."""
    booster = boosters()["xgboost absent"]
    reference = [json.loads(tree) for tree in booster.get_dump(dump_format="json")]  # type: ignore[union-attr]
    ours = json.loads(xgboost_dump.write(request(ensemble_of(booster))).content)

    def nodes(tree: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        yield tuple(tree.get(key) for key in ("depth", "split", "yes", "no", "missing"))
        yield np.float32(tree.get("split_condition", tree.get("leaf")))
        for child in tree.get("children", ()):
            yield from nodes(child)

    assert [list(nodes(tree)) for tree in ours[-len(reference) :]] == [list(nodes(tree)) for tree in reference]


def test_vespas_format() -> None:
    def scored(default_left: bool, *row: float) -> float:
        node = {
            "split_feature": 1, "threshold": 0.25, "decision_type": "<=", "default_left": default_left,
            "left_child": {"leaf_value": 1.0}, "right_child": {"leaf_value": 2.0},
        }  # fmt: skip
        dump = {
            "objective": "regression", "feature_names": ["bm25(title)", "attribute(x)"], "pandas_categorical": [],
            "tree_info": [{"tree_structure": node}, {"tree_structure": {"leaf_value": 10.0}}],
        }  # fmt: skip
        return float(vespa.scores(json.dumps(dump).encode(), ("a", "b"), values(*row))[0])

    assert [scored(left, 9, x) for left in (True, False) for x in (0.24, 0.25, np.nan)] == [11, 12, 11, 11, 12, 12]


def test_vespas_dump_is_lightgbms_own_but_for_names_and_thresholds() -> None:
    booster = boosters()["lightgbm absent"]
    reference = booster.dump_model()  # type: ignore[union-attr]
    ours = json.loads(vespa.write(request(ensemble_of(booster))).content)
    assert ours["feature_names"] == ["bm25(title)", "bm25_of_title_text", "attribute(price)", "attribute(z_colbert)"]

    def nodes(node: dict[str, Any], moved: bool) -> Iterator[Any]:
        if "left_child" not in node:
            yield node["leaf_value"]
            return
        threshold = node["threshold"]
        yield node["split_feature"], node["default_left"], np.nextafter(threshold, np.inf) if moved else threshold
        yield from nodes(node["left_child"], moved)
        yield from nodes(node["right_child"], moved)

    for tree, ours_tree in zip(reference["tree_info"], ours["tree_info"], strict=True):
        assert list(nodes(ours_tree["tree_structure"], False)) == list(nodes(tree["tree_structure"], True))


def test_elasticsearchs_format() -> None:
    def scored(decision: str, default_left: bool, value: float) -> float:
        nodes = [
            {
                "node_index": 0, "split_feature": 1, "threshold": 0.25, "decision_type": decision,
                "default_left": default_left, "left_child": 1, "right_child": 2,
            },
            {"node_index": 1, "leaf_value": 1.0},
            {"node_index": 2, "leaf_value": 2.0},
        ]  # fmt: skip
        tree = {"tree": {"target_type": "regression", "feature_names": ["a", "b"], "tree_structure": nodes}}
        ensemble = {
            "feature_names": ["a", "b"], "trained_models": [tree], "aggregate_output": {"weighted_sum": {}},
        }  # fmt: skip
        extractors = [{"query_extractor": {"feature_name": name, "query": {}}} for name in "ab"]
        body = {
            "inference_config": {"learning_to_rank": {"feature_extractors": extractors}},
            "definition": {"trained_model": {"ensemble": ensemble}},
        }
        return float(elasticsearch.scores(json.dumps(body).encode(), ("a", "b"), values(9, value))[0])

    assert [scored("lte", True, x) for x in (0.25, 0.26, np.nan, np.inf)] == [1, 2, 1, 1]
    assert [scored("lt", False, x) for x in (0.24, 0.25, np.nan)] == [1, 2, 2]


def test_elasticsearchs_body_is_what_eland_sends() -> None:
    """The trees' nodes, the sum and the queries, under the names of the trained model's API."""
    body = json.loads(elasticsearch.write(request(ensemble_of(boosters()["xgboost absent"]))).content)
    ensemble = body["definition"]["trained_model"]["ensemble"]
    assert ensemble["target_type"] == "regression" and ensemble["feature_names"] == list(NAMES)
    assert ensemble["aggregate_output"] == {"weighted_sum": {}}
    root = ensemble["trained_models"][0]["tree"]["tree_structure"][0]
    assert root.keys() == {
        "node_index", "split_feature", "threshold", "decision_type", "default_left", "left_child", "right_child"
    }  # fmt: skip
    assert root["decision_type"] == "lt"
    for model in ensemble["trained_models"]:
        assert [node["node_index"] for node in model["tree"]["tree_structure"]] == list(
            range(len(model["tree"]["tree_structure"]))
        )
    extractors = body["inference_config"]["learning_to_rank"]["feature_extractors"]
    assert [list(extractor) for extractor in extractors] == [["query_extractor"]] * 4
    assert [extractor["query_extractor"]["feature_name"] for extractor in extractors] == list(NAMES)
    queries = [extractor["query_extractor"]["query"] for extractor in extractors]
    assert queries[0] == {"match": {"title": "{{query}}"}}
    assert queries[1] == {"multi_match": {"query": "{{query}}", "fields": ["title", "text"], "type": "most_fields"}}
    assert queries[2]["script_score"]["query"] == {"exists": {"field": "price"}}
    assert queries[3]["script_score"]["script"] == {"source": "doc['z_colbert'].value"}


def test_onnx_is_a_valid_model_with_its_features_names() -> None:
    import onnx

    for name, kind in (("lightgbm absent", onnx.TensorProto.DOUBLE), ("xgboost absent", onnx.TensorProto.FLOAT)):
        model = onnx.load_from_string(FORMATS["onnx"].write(request(ensemble_of(boosters()[name]))).content)
        assert model.graph.input[0].type.tensor_type.elem_type == kind
        assert model.metadata_props[0].value.split("\n") == list(NAMES)
        assert [node.op_type for node in model.graph.node] == ["TreeEnsembleRegressor"]


# What is refused, and what is said.


@pytest.mark.parametrize("name", ["lightgbm absent", "xgboost complete", "xgboost absent"])
def test_ranklib_refuses_directions_of_missing_values(name: str) -> None:
    ensemble = ensemble_of(boosters()[name])
    with pytest.raises(InputError, match="RankLib reads missing values as 0.*--never-missing, else take --format xgb"):
        export(ensemble, "ranklib", "m")
    result = export(ensemble, "ranklib", "m", never_missing=True)
    assert [row.rows for row in result.parity] == ["random", "threshold"]


def test_solr_says_where_missing_values_need_a_newer_one() -> None:
    zero = solr.write(request(ensemble_of(boosters()["lightgbm complete"])))
    assert b"isNullSameAsZero" not in zero.content and b'"missing"' not in zero.content
    directed = solr.write(request(ensemble_of(boosters()["lightgbm absent"])))
    assert b'"isNullSameAsZero": "false"' in directed.content and "Solr 9.2" in directed.notes[1]


def test_an_export_compares_a_hundred_rows() -> None:
    for format_name in FORMATS:
        result = export(ensemble_of(boosters()["lightgbm complete"]), format_name, "m")
        assert sum(row.count + row.left_out for row in result.parity) == 100
        assert [row.rows for row in result.parity] == ["random", "threshold", "absent"]
        assert (result.features is None) == (format_name in ("elasticsearch", "onnx"))
        assert [query.name for query in result.external] == ["z(colbert)"]
        assert any("is not Resift's BM25" in note for note in result.notes)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("change", ["threshold", "missing", "output"])
def test_a_file_that_scores_otherwise_is_not_written(format_name: str, change: str) -> None:
    """The comparison finds one altered threshold, direction or output."""
    ensemble = ensemble_of(train_lightgbm(ABSENT, 3))
    tree = ensemble.trees[0]
    wrong = {
        "threshold": lambda: replace(tree, threshold=np.nextafter(tree.threshold, np.inf) + 1e-6),
        "missing": lambda: replace(tree, default_left=~tree.default_left),
        "output": lambda: replace(tree, value=tree.value * 1.001),
    }[change]()
    form = FORMATS[format_name]
    never_missing = format_name == DIRECTIONLESS
    written = form.write(request(replace(ensemble, trees=(wrong, *ensemble.trees[1:])), never_missing))
    with pytest.raises(ModelError, match="otherwise than the model; nothing was written"):
        parity(ensemble, Written(written.content), form, 100, True)


def test_a_tree_too_deep_for_nested_formats() -> None:
    size = 120
    inner = np.arange(size, dtype=np.int32)
    none = np.full(size + 1, -1, np.int32)
    chain = Tree(
        np.concatenate([np.zeros(size, np.int32), none]), np.concatenate([-inner.astype(float), np.zeros(size + 1)]),
        np.zeros(2 * size + 1, bool), np.concatenate([np.append(inner[1:], 2 * size), none]).astype(np.int32),
        np.concatenate([inner + size, none]).astype(np.int32), np.concatenate([np.zeros(size), np.arange(size + 1.0)]),
    )  # fmt: skip
    ensemble = Ensemble((chain,), ("number(x)",), 1, "lightgbm")
    for format_name in ("vespa", "solr", "ranklib", "xgboost-json"):
        with pytest.raises(InputError, match="a tree is 120 levels deep.*is read to 100; train with max_depth"):
            export(ensemble, format_name, "m", never_missing=True)
    for format_name in ("elasticsearch", "onnx"):
        assert export(ensemble, format_name, "m").content


def test_names_that_are_refused() -> None:
    ensemble = ensemble_of(boosters()["lightgbm complete"])
    with pytest.raises(InputError, match="no format 'rank-lib'; did you mean 'ranklib'"):
        export(ensemble, "rank-lib", "m")
    with pytest.raises(InputError, match="no model called 'my model'; pass --name"):
        export(ensemble, "solr", "my model")
    same = replace(ensemble, features=("z(a-b)", "z(a_b)", "c", "d"))
    with pytest.raises(InputError, match="two features would be read from the field 'z_a_b'; rename one"):
        export(same, "solr", "m")
    fields = replace(ensemble, features=("number(z_a)", "z(a)", "c", "d"))
    with pytest.raises(InputError, match=r"Vespa's rank feature 'attribute\(z_a\)'; rename one"):
        export(fields, "vespa", "m")


def test_fields_of_the_engine() -> None:
    names = ("bm25(title)", "bm25", "number(price)", "coverage", "score(colbert)")
    queries = feature_queries(names, {"title": "headline", "text": "body", "score(colbert)": "maxsim"})
    assert [(query.kind, query.fields) for query in queries] == [
        ("match", ("headline",)), ("match", ("headline", "body")), ("number", ("price",)),
        ("external", ("coverage",)), ("external", ("maxsim",)),
    ]  # fmt: skip


def test_numbers_of_the_query_are_parameters() -> None:
    ensemble = replace(ensemble_of(boosters()["lightgbm complete"]), features=("query_terms", "a", "b", "c"))
    results = {name: export(ensemble, name, "m") for name in FORMATS}
    assert all(result.external[0].kind == "parameter" for result in results.values())
    script = {"source": "Double.parseDouble(params.value)", "params": {"value": "{{query_terms}}"}}
    asked = {"script_score": {"query": {"match_all": {}}, "script": script}}
    body = json.loads(results["elasticsearch"].content)["inference_config"]["learning_to_rank"]
    assert body["feature_extractors"][0]["query_extractor"] == {"feature_name": "query_terms", "query": asked}
    (feature, *_) = json.loads(results["ranklib"].features or b"")["featureset"]["features"]
    assert feature["params"] == ["query_terms"] and feature["template"] == asked
    (feature, *_) = json.loads(results["solr"].features or b"")
    assert feature["params"] == {"value": "${query_terms}", "required": True}
    assert feature["class"].endswith(".ValueFeature")
    assert json.loads(results["vespa"].content)["feature_names"][0] == "query(query_terms)"


def test_feature_sets_of_engines() -> None:
    ensemble = ensemble_of(boosters()["lightgbm complete"])
    results = {name: export(ensemble, name, "m", file_name="trees.json").features or b"" for name in FORMATS}
    opensearch = json.loads(results["ranklib"])["featureset"]
    assert opensearch["name"] == "m-features" and results["ranklib"] == results["xgboost-json"]
    assert [feature["name"] for feature in opensearch["features"]] == list(NAMES)
    assert [feature["params"] for feature in opensearch["features"]] == [["query"], ["query"], [], []]
    assert opensearch["features"][0]["template"] == {"match": {"title": "{{query}}"}}
    stored = json.loads(results["solr"])
    assert stored[1]["params"] == {"q": "{!dismax qf='title text'}${query}"}
    assert stored[2] == {
        "name": "number(price)", "class": "org.apache.solr.ltr.feature.FieldValueFeature",
        "params": {"field": "price", "defaultValue": "NaN"},
    }  # fmt: skip
    profile = results["vespa"].decode()
    assert "function bm25_of_title_text()" in profile and "expression: bm25(title) + bm25(text)" in profile
    assert 'lightgbm("trees.json")' in profile
