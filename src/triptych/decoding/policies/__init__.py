"""Policies that choose tokens, row by row: greedy, sampling, beam search."""
