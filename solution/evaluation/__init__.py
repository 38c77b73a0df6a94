"""What a trained model is used for: decoding text, scoring it, also while it adapts; looking in."""

from .cache import CacheSettings, cached, tune_cache
from .decoding import beam_search, greedy, next_word, sample
from .dynamic import DynamicSettings, dynamic, gradient_rms, tune_dynamic
from .perplexity import mean_nll, static

__all__ = [
    "CacheSettings",
    "DynamicSettings",
    "beam_search",
    "cached",
    "dynamic",
    "gradient_rms",
    "greedy",
    "mean_nll",
    "next_word",
    "sample",
    "static",
    "tune_cache",
    "tune_dynamic",
]
