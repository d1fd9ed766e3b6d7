"""Look inside a trained model: its attention and its certainty. Imports no torch by itself."""
