"""Rankings in, rankings out: the stages that put candidates in another order."""
