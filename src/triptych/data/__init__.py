"""Read files into Examples and batches, without knowing models or tasks."""
