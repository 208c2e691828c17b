"""From scores and labels to probabilities, thresholds and levels: fitted on some queries, reported on others."""
