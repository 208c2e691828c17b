"""Learning to rank from features: trees that order candidates by what is known of them, trained on judged queries."""
