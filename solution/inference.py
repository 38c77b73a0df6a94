"""Prediction of the next word, and generation of text."""

import torch
from evaluation import greedy, next_word
from language_model import LanguageModel
from torch import Tensor


class TestLanguageModel:
    """The two functions that are graded, called on the class, without an instance."""

    __test__ = False  # not a pytest class, whatever its name says

    @staticmethod
    @torch.no_grad()
    def prediction(inp: Tensor, model: LanguageModel) -> Tensor:
        """Score the word that comes after each row.

        Args:
            inp: int64 [batch, length].
            model: a trained model; it is switched to evaluation mode here.

        Returns:
            float [batch, vocabulary], raw scores (log-probabilities are scores too).
        """
        model.eval()
        return next_word(model, _on_device(inp, model))[0]

    @staticmethod
    @torch.no_grad()
    def generation(inp: Tensor, forward: int, model: LanguageModel) -> Tensor:
        """Continue each row greedily, with the best word at each step.

        Args:
            inp: int64 [batch, length].
            forward: how many words to write.
            model: a trained model; it is switched to evaluation mode here.

        Returns:
            int64 [batch, forward], the new words only.
        """
        model.eval()
        return greedy(model, _on_device(inp, model), forward)


def _on_device(inp: Tensor, model: LanguageModel) -> Tensor:
    return torch.as_tensor(inp, dtype=torch.int64, device=next(model.parameters()).device)
