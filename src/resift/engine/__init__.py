"""Token batches in, raw outputs out; knows nothing of queries and documents."""
