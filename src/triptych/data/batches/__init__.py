"""From Examples to batches: encoded arrays, order, windows, token shards, streams."""
