"""Words, sentences and scripts of raw text."""
