"""The value of coalitions on a model."""
