"""Define one task a file: what is learnt from an Example, and how an answer is read."""
