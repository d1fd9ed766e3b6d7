"""Define a whole run as one typed tree: tables, defaults, merging with the command line."""

from .schema import Recipe as Recipe
