"""Words, passages and windows of texts, without any model."""
