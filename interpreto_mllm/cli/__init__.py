"""The command line `interpreto-mllm`: typer is imported when it is used, models and torch when a command needs them."""
