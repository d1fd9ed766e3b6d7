"""Read the supported file formats, one module for each."""
