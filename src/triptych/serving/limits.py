"""Define how much one HTTP request may ask for. Imports no torch."""

from __future__ import annotations

BODY_BYTES = 16 << 20  # of a request, an uploaded file included
BODY_SECONDS = 60.0  # within which a request must have arrived whole
MOST_TOKENS = 8192  # that are written for one request
MOST_ANSWERS = 16  # of one prompt
MOST_BEAMS = 16
MOST_TOP = 20  # most probable tokens that are named at each place
MOST_STOPS = 16  # stop strings
LONGEST_STOP = 256  # characters of a stop string
MOST_PROMPTS = 128  # of one request
MOST_INPUTS = 2048  # texts that are embedded for one request
MOST_MESSAGES = 2048  # of a conversation
LONGEST_NAME = 256  # characters of the name of a model
OFF_LOOP = 2000  # characters from which a text is cut into tokens in another thread
PARTS_AT_ONCE = 64  # parts of one request (lines, prompts, inputs) that are in work together
MOST_LINES = 5000  # of the texts of one request, which are translated one by one
# A text is refused by its characters before it is cut into tokens: this many for each token that
# the run reads at most, in up to MOST_WINDOWS windows where its task reads windows.
CHARACTERS_PER_TOKEN = 16
MOST_WINDOWS = 64
LEAST_CHARACTERS = 1 << 16  # are taken by every run
MOST_CHARACTERS = 1 << 20  # of one text, whatever the run reads
MOST_IDS = 1 << 18  # tokens of a prompt that is given as ids
# Of a JSON body: what is between its commas, and its lists and objects.
MOST_VALUES, MOST_CONTAINERS = 1 << 19, 1 << 15
