"""A reranker on another machine: the HTTP client, and the reader of its responses."""
