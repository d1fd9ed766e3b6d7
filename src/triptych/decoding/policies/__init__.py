"""Choose tokens, row by row: greedy search, sampling and beam search."""
