"""Queries in, rankings out: the first stage."""
