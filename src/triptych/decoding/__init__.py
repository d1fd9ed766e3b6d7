"""Looking for an answer: greedy, beam search, sampling, and the score of a given answer."""
