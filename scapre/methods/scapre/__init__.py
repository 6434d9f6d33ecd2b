"""ScaPre (arXiv 2601.06162): its settings, statistics and two variants."""
