"""What differs between models, asked once and in one place: how each is read, asked and scored."""
