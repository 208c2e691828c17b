"""How other libraries lay out a model's folder: one module per library, each with its rows of `layout.Layout`."""
