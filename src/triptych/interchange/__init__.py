"""Model folders and files of other libraries, read and written. Imports no torch."""
