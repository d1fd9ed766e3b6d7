"""Turn Examples into batches: encoded arrays, order, windows, token shards, streams."""
