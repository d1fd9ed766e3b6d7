"""Serve runs over HTTP to clients that are used as they are: one thin file for each dialect."""
