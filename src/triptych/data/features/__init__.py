"""Turn sound into arrays that a model reads."""
