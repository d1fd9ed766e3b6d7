"""The embedded data set: English to Chinese from a small grammar."""
