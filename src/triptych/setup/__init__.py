"""Turn a Recipe into a Job in stages, and describe it before training."""
