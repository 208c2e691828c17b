"""Which reranker to take: candidates by needs, measured on the user's own sample where their weights are at hand."""

from resift.choose.candidates import ModelCandidate, Needs, candidates
from resift.choose.choice import ModelChoice, choose
from resift.choose.sample import UserSample

__all__ = ["ModelCandidate", "ModelChoice", "Needs", "UserSample", "candidates", "choose"]
