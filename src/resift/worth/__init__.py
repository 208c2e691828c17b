"""Whether reranking is worth it on a user's own queries: tuned on some of them, compared on the others."""

from resift.worth.report import WorthIt
from resift.worth.run import WorthItOptions, worth_it
from resift.worth.verdict import Verdict, Word

__all__ = ["Verdict", "Word", "WorthIt", "WorthItOptions", "worth_it"]
