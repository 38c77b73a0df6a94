"""Prediction of the next word, and generation of text."""

import torch
from language_model import LanguageModel
from torch import Tensor


class TestLanguageModel:
    """The two functions that are graded, called on the class."""

    __test__ = False  # not a pytest class, whatever its name says

    @staticmethod
    @torch.no_grad()
    def prediction(inp: Tensor, model: LanguageModel) -> Tensor:
        """Score the word that comes after each row.

        Args:
            inp: int64 [batch, length], array or tensor.
            model: a trained model.

        Returns:
            float [batch, vocabulary], raw scores (here log-probabilities, which are scores too).
        """
        model.eval()
        return _next_word(model, _ids(inp, model))[0]

    @staticmethod
    @torch.no_grad()
    def generation(inp: Tensor, forward: int, model: LanguageModel) -> Tensor:
        """Continue each row greedily.

        Args:
            inp: int64 [batch, length], array or tensor.
            forward: how many words to write.
            model: a trained model.

        Returns:
            int64 [batch, forward], the new words only.
        """
        model.eval()
        words, hidden, out = _ids(inp, model), None, []
        for _ in range(forward):
            scores, hidden = _next_word(model, words, hidden)
            words = scores.argmax(dim=-1, keepdim=True)
            out.append(words)
        return torch.cat(out, dim=1)


def _ids(inp: Tensor, model: LanguageModel) -> Tensor:
    return torch.as_tensor(inp, dtype=torch.int64, device=model.rank.device)


def _next_word(model: LanguageModel, words: Tensor, hidden=None):
    _, features, hidden = model.features(words, hidden)
    return model.log_probs(features[:, -1]), hidden
