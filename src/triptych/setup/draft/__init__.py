"""Draft a recipe from a user's files: check them, choose a size, forecast minutes and memory."""
