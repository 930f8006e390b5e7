"""How well a model reads: matching and analysis."""
