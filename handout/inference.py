"""Prediction of the next word, and generation of text."""

from language_model import LanguageModel
from torch import Tensor


class TestLanguageModel:
    """The two functions that are graded, called on the class, without an instance."""

    __test__ = False  # not a pytest class, whatever its name says

    @staticmethod
    def prediction(inp: Tensor, model: LanguageModel) -> Tensor:
        """Score the word that comes after each row.

        Args:
            inp: int64 [batch, length].
            model: a trained model; it is switched to evaluation mode here.

        Returns:
            float [batch, vocabulary], raw scores (log-probabilities are scores too).
        """
        raise NotImplementedError("TestLanguageModel.prediction: see ASSIGNMENT.md, part 4")

    @staticmethod
    def generation(inp: Tensor, forward: int, model: LanguageModel) -> Tensor:
        """Continue each row greedily, with the best word at each step.

        Args:
            inp: int64 [batch, length].
            forward: how many words to write.
            model: a trained model; it is switched to evaluation mode here.

        Returns:
            int64 [batch, forward], the new words only.
        """
        raise NotImplementedError("TestLanguageModel.generation: see ASSIGNMENT.md, part 4")
