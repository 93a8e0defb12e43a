"""What every room may know: features, coalitions, evaluations and responses. Knows no model and no other room."""
