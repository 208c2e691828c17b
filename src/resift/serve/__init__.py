"""The server: one process that serves models, stages and an index in every format that rerank clients speak."""
