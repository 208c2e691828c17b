"""Neural models trained on examples: cross-encoders, embedders, late interaction; measured before and after."""
