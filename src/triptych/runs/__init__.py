"""Run folders and everything stored in them."""
