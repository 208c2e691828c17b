"""HTTP -> Reranker -> HTTP: one process, several models, every dialect that rerank clients speak."""
