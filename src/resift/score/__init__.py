"""Pairs in, scores out: contracts of models, one file per family, and the loader that tells the families apart."""
