"""Train every model and task with one loop: `trainer.train(job)` yields progress."""
