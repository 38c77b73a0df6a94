"""Training: one step, one epoch, validation, and saving."""

from pathlib import Path

from config import Config
from data_loader import LanguageModelDataLoader
from language_model import LanguageModel
from torch import Tensor


class LanguageModelTrainer:
    """Trains a `LanguageModel` on the windows of a loader.

    Args:
        model: the model, already on its device.
        loader: training windows.
        max_epochs: epochs that the learning rate's schedule spreads over.
        run_id: name of the run; its files go to `runs/train/<run_id>/`.
        valid_loader: validation windows, in order; `test()` needs it.
        config: settings; None for the defaults.

    Raises:
        ValueError: the config names an unknown optimizer, schedule or precision.
    """

    def __init__(
        self,
        model: LanguageModel,
        loader: LanguageModelDataLoader,
        max_epochs: int = 1,
        run_id: str = "exp",
        valid_loader: LanguageModelDataLoader | None = None,
        config: Config | None = None,
    ) -> None:
        raise NotImplementedError("LanguageModelTrainer.__init__: see ASSIGNMENT.md, part 3")

    def train(self) -> float:
        """Train for one epoch.

        Returns:
            Mean NLL a word over the epoch, in nats, regularisers apart.
        """
        raise NotImplementedError("LanguageModelTrainer.train: see ASSIGNMENT.md, part 3")

    def train_batch(self, inputs: Tensor, targets: Tensor) -> float:
        """Take one optimizer step on one window, reading on from the last one's hidden state.

        Args:
            inputs: int64 [batch, time].
            targets: int64 [batch, time].

        Returns:
            Mean NLL a word, in nats, regularisers apart.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        raise NotImplementedError("LanguageModelTrainer.train_batch: see ASSIGNMENT.md, part 3")

    def test(self) -> float:
        """Validate, in evaluation mode and without gradients.

        Returns:
            Mean NLL a word of `valid_loader`, in nats.

        Raises:
            ValueError: the trainer was made without a `valid_loader`.
        """
        raise NotImplementedError("LanguageModelTrainer.test: see ASSIGNMENT.md, part 3")

    def save(self) -> Path:
        """Write the weights, and the settings that build the model, with `checkpoint.save`.

        Returns:
            The file: `runs/train/<run_id>/checkpoint.safetensors`.
        """
        raise NotImplementedError("LanguageModelTrainer.save: see ASSIGNMENT.md, part 3")
