"""Hard negatives: documents that rank high for a query and are not what it asks for."""

from resift.train.mine.formats import Format, lines
from resift.train.mine.options import MineOptions, Sampling
from resift.train.mine.report import MiningReport, Suspect
from resift.train.mine.run import MiningResult, mine

__all__ = ["Format", "MineOptions", "MiningReport", "MiningResult", "Sampling", "Suspect", "lines", "mine"]
