"""RankLib's XML of LambdaMART, which OpenSearch's plugin (and o19s's, for Elasticsearch) takes as `model/ranklib`.

RankLib numbers features from 1 in the order of the feature set, compares `value <= threshold` in float32, reads a
missing value as 0, and adds in float32. Its parser takes the first child of every element, so that there is no white
space between elements, and drops lines that begin with "#".
"""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from resift.errors import InputError
from resift.trees.ensemble import Ensemble, Floats, Matrix, Tree
from resift.trees.formats import opensearch_features
from resift.trees.formats.format import Format, Request, Written
from resift.trees.thresholds import last_left

_NOTES = (
    "create a feature set with the features in this order, and the model from it with type model/ranklib",
    "RankLib reads a missing value as 0",
    opensearch_features.NOTE,
)


def write(request: Request) -> Written:
    """The model's text.

    Raises:
        InputError: trees that send a missing value elsewhere than 0, unless no value is ever missing.

    """
    ensemble = request.ensemble
    if not request.never_missing and not ensemble.missing_is_zero:
        raise InputError(
            "RankLib reads missing values as 0, but these trees send some of them another way than 0; if no value is "
            "ever missing, say --never-missing, else take --format xgboost-json"
        )
    outputs = [f"<split><output>{_number(ensemble.base_score)}</output></split>"] if ensemble.base_score else []
    outputs += [_element(ensemble, tree, 0, "<split>") for tree in ensemble.trees]
    lines = [f'<tree id="{i}" weight="1.0">{output}</tree>' for i, output in enumerate(outputs, 1)]
    leaves = max(int((tree.feature < 0).sum()) for tree in ensemble.trees)
    head = [
        "## LambdaMART",
        f"## No. of trees = {len(lines)}",
        f"## No. of leaves = {leaves}",
        "## Learning rate = 1.0",
    ]
    text = "\n".join([*head, "<ensemble>", *lines, "</ensemble>", ""])
    return Written(text.encode("utf-8"), _NOTES)


def _number(value: float) -> str:
    return repr(float(np.float32(value)))


def _element(ensemble: Ensemble, tree: Tree, node: int, opening: str) -> str:
    if tree.is_leaf(node):
        return f"{opening}<output>{_number(tree.value[node])}</output></split>"
    threshold = _number(last_left(ensemble, tree, node, np.float32))
    left = _element(ensemble, tree, int(tree.left[node]), '<split pos="left">')
    right = _element(ensemble, tree, int(tree.right[node]), '<split pos="right">')
    feature = int(tree.feature[node]) + 1
    return f"{opening}<feature>{feature}</feature><threshold>{threshold}</threshold>{left}{right}</split>"


def scores(content: bytes, names: tuple[str, ...], rows: Matrix) -> Floats:
    """What RankLib computes from the XML."""
    lines = [line for line in content.decode("utf-8").splitlines() if line and not line.startswith("#")]
    trees = ElementTree.fromstring("".join(lines)).findall("tree")
    values = np.nan_to_num(rows.astype(np.float32), nan=0.0, posinf=np.inf, neginf=-np.inf)
    results = []
    for row in values:
        total = np.float32(0)
        for tree in trees:
            total = np.float32(float(total) + _output(tree[0], row) * float(np.float32(tree.attrib["weight"])))
        results.append(float(total))
    return np.array(results)


def _output(split: ElementTree.Element, row: Matrix) -> float:
    while split[0].tag != "output":
        feature, threshold, left, right = split
        goes_left = row[int(feature.text or "") - 1] <= np.float32(threshold.text)
        split = left if goes_left else right
    return float(np.float32(split[0].text))


RANKLIB = Format(
    "ranklib", "OpenSearch LTR, model/ranklib", np.float32, write, scores, features=opensearch_features.write
)
