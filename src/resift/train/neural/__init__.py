"""Neural models trained on a user's examples: cross-encoders on sentence-transformers, measured before and after."""
