"""Read and write run folders and everything stored in them."""
