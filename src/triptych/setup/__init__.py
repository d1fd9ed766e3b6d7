"""From a Recipe to a Job, and what is said of it before training."""
