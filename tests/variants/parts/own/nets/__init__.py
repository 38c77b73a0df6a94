"""Helpers that the model's module imports from a package of the hand-in's own."""
