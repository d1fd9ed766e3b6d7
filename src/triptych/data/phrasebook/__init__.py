"""Generate the built-in data set: English to Chinese from a small grammar."""
