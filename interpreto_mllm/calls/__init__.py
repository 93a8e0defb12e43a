"""Tool calls: asked about as targets, written by a chat template, and read from answers."""
