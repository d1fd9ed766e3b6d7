"""Draw answers, one module for each kind of task."""
