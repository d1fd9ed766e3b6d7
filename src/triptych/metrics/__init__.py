"""Compute metrics from plain lists: named floats, each with its signature.

Percentages run from 0 to 100.
"""
