"""One file per task: what to learn from an Example, and how to read the answer."""
