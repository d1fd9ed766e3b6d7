"""Pictures of answers, one file for each kind of task."""
