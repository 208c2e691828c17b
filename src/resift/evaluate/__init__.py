"""What reranking is worth on a user's own data: rankings and judgements in, figures with intervals out."""
