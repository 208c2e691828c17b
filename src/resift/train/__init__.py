"""Examples in, a model out."""
