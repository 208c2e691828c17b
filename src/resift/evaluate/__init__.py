"""What reranking is worth on a user's own data: rankings and judgements in, figures with intervals out."""

from resift.evaluate.dataset import Dataset
from resift.evaluate.evaluation import Evaluation, PipelineRun
from resift.evaluate.evaluation_json import as_json, read_evaluation
from resift.evaluate.html_report.page import as_html
from resift.evaluate.read_data import DataFiles, read_dataset
from resift.evaluate.run import EvaluationOptions, evaluate
from resift.evaluate.summary import Summary, summaries

__all__ = [
    "DataFiles",
    "Dataset",
    "Evaluation",
    "EvaluationOptions",
    "PipelineRun",
    "Summary",
    "as_html",
    "as_json",
    "evaluate",
    "read_dataset",
    "read_evaluation",
    "summaries",
]
