"""Text in, words, passages and windows out; knows nothing of models."""
