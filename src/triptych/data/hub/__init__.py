"""Fetch files of the Hugging Face hub, and read the data sets there as files of a user."""
