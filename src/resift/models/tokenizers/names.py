"""The names of the vocabulary files, for everybody who copies, fetches or hashes a model."""

# Beside tokenizer.json; which of them are read together, and by whom, is in `formats`.
VOCABULARY_FILES = (
    "vocab.txt",
    "bpe.codes",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
    "tokenizer.model",
)
SETTINGS_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
