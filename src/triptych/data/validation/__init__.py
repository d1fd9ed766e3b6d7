"""Check files before training, one module for each format."""
