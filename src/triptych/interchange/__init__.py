"""Read and write model folders and files of other libraries. Imports no torch."""
