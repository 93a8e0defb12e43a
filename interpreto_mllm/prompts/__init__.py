"""From inputs to features, and what the model is given without some of them."""
