"""What a result is, and what can be computed from it without a model."""
