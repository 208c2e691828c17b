"""Resift's own kernels in C: how they are loaded, what they compute, and the engine that they make."""
