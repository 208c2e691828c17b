"""Resift's own layout: contract.json says everything."""

from resift.models.contract import parse_contract
from resift.models.layouts.layout import Layout

LAYOUT = Layout("Resift", lambda folder: folder.has_contract, parse_contract)
