"""Which reranker to take: candidates by needs, measured on the user's own sample where their weights are at hand."""

from resift.choose.candidates import Candidate, Needs, candidates
from resift.choose.choice import Choice, choose
from resift.choose.sample import Sample

__all__ = ["Candidate", "Choice", "Needs", "Sample", "candidates", "choose"]
