"""The one training loop, its optimizers, checkpoints and processes. `trainer.train(job)` yields
progress.
"""
