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
