"""Spending a budget: sessions that draw coalitions, the loop that evaluates them, stop rules and checkpoints."""
