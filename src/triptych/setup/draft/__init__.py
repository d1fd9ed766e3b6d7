"""Draft a recipe from a person's files: check them, choose a size, forecast minutes and memory."""
