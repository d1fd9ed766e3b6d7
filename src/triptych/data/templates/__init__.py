"""Render the Jinja templates that published chat models bring along."""
