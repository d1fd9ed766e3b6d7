"""Answer from one's own documents: an index on the disk, search in it, answers with citations."""
