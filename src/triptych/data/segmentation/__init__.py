"""Split raw text into words and sentences, and convert Chinese scripts."""
