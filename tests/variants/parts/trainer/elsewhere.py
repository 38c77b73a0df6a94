"""The class is in language_model.py, with the others."""

from language_model import LanguageModelTrainer

__all__ = ["LanguageModelTrainer"]
