"""Checkers, one for each file format."""
