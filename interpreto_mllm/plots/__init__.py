"""Pictures of results. Nothing here calls a model, and each drawing library is imported only when it is used."""
