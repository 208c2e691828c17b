"""An index on disk: passages, terms, vectors and token vectors, written atomically, read memory-mapped."""
