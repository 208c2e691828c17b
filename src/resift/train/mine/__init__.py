"""Hard negatives: documents that rank high for a query and are not what it asks for."""

from resift.train.choices import Format, Sampling
from resift.train.mine.formats import lines
from resift.train.mine.options import MineOptions
from resift.train.mine.report import MiningReport, Suspect
from resift.train.mine.run import MiningResult, mine

__all__ = ["Format", "MineOptions", "MiningReport", "MiningResult", "Sampling", "Suspect", "lines", "mine"]
