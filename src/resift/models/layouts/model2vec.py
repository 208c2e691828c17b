"""Model2Vec: a table of token vectors, told by the model_type of config.json."""

from resift.models.contract import Contract
from resift.models.folder import ModelFolder
from resift.models.inputs import StaticInput
from resift.models.layouts.layout import Layout
from resift.types import ScoreKind


def _contract(folder: ModelFolder) -> Contract:
    return Contract(folder.name, "static", ScoreKind.COSINE, 0, 0, StaticInput())


LAYOUT = Layout("Model2Vec", lambda folder: folder.model_type == "model2vec", _contract)
