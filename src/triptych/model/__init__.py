"""The Transformer and the RNN encoder-decoder: tensors in, tensors out; no files, texts or tasks.

Legend of axes, the same in every file of the package: B sequences in a batch, T target positions, S
source positions, D width, H query heads, K key heads, G = H / K query heads for each key head, E
width of a head, F inner width of the feed-forward, V vocabulary, N packed tokens (rows of real
tokens, no padding), M packed tokens of the memory, R sources of a memory, L layers or cached
positions.
"""
