"""Heads on top of a stack's states, each with its loss."""
