"""From files to batches. Knows no model and no task."""
