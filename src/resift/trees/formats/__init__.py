"""One module per format: what is written, and what the engine computes from it, by the engine's own arithmetic."""
