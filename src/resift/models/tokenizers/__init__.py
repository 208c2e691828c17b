"""Tokenizers built from the vocabulary files that checkpoints ship, for folders without tokenizer.json."""
