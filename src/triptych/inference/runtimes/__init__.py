"""Answer with other runtimes from runs that were converted for them. Imports no torch."""
