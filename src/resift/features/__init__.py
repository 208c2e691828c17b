"""Features: what is known of a query's candidates as a matrix of numbers, by one code path for training and serving."""

from resift.features.collection_statistics import STATISTICS_FILE as STATISTICS_FILE
from resift.features.collection_statistics import Statistics as Statistics
from resift.features.feature import Feature as Feature
from resift.features.feature_set import FEATURES_FILE as FEATURES_FILE
from resift.features.feature_set import FeatureSet as FeatureSet
from resift.features.field import DetectedFields as DetectedFields
from resift.features.field import Field as Field
from resift.features.field import FieldKind as FieldKind
from resift.features.field import detect_fields as detect_fields
from resift.features.matrix import FeatureMatrix as FeatureMatrix
from resift.features.matrix import Missing as Missing
from resift.features.matrix import MissingCode as MissingCode
from resift.features.matrix import constant_columns as constant_columns
from resift.features.query_view import signal_kinds as signal_kinds

__all__ = [
    "FEATURES_FILE",
    "STATISTICS_FILE",
    "DetectedFields",
    "Feature",
    "FeatureMatrix",
    "FeatureSet",
    "Field",
    "FieldKind",
    "Missing",
    "MissingCode",
    "Statistics",
    "constant_columns",
    "detect_fields",
    "signal_kinds",
]
