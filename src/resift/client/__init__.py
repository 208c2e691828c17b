"""A reranker on another machine: the HTTP client, and what a server's answer means."""
