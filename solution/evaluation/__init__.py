"""What a trained model is used for: decoding text."""

from .decoding import beam_search, greedy, next_word, sample

__all__ = ["beam_search", "greedy", "next_word", "sample"]
