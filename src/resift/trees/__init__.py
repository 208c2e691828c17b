"""Trees of LightGBM and XGBoost as one neutral record, and the files in which search engines take them."""

from resift.trees.ensemble import Ensemble as Ensemble
from resift.trees.ensemble import Tree as Tree
from resift.trees.export import FORMATS as FORMATS
from resift.trees.export import Export as Export
from resift.trees.export import export as export
from resift.trees.model_file import read_model as read_model

__all__ = ["FORMATS", "Ensemble", "Export", "Tree", "export", "read_model"]
