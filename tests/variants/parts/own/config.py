"""A hand-in's own settings, in place of the kit's, read from a file beside it."""

import json
import os

with open(os.path.join(os.path.dirname(__file__), "sizes.json")) as file:
    SIZES = json.load(file)
