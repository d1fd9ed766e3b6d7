"""Heads on top of the states of a stack, with their losses."""
