"""Load a run and use it. Imports no torch until something is loaded."""
