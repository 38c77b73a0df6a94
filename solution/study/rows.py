"""The rows of the study: one budget, and what each row changes."""

from dataclasses import dataclass, field, replace
from typing import Any

from config import Config

# Every technique on, at a size that a CPU core trains in about a minute.
SMALL = Config(
    embedding_size=128,
    hidden_size=192,
    num_layers=2,
    softmax="adaptive",
    cutoffs=(500, 3000),
    embedding_dropout=0.1,
    input_dropout=0.3,
    hidden_dropout=0.2,
    output_dropout=0.3,
    weight_dropout=0.3,
    alpha=2.0,
    beta=1.0,
    weight_decay=0.05,
    lr=6e-3,
    batch_size=10,
    bptt=35,
    epochs=6,
)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Args:
        name: what is changed, in the table's words.
        group: "techniques", "optimizers", "cells" or "outputs".
        changes: settings in place of the baseline's.
        fixed_windows: whether all windows are of length `bptt`.
    """

    name: str
    group: str
    changes: dict[str, Any] = field(default_factory=dict)
    fixed_windows: bool = False

    def config(self, base: Config = SMALL) -> Config:
        """Return the settings of this row."""
        return replace(base, **self.changes)


# Plain SGD wants more epochs than Adam, and averaging some that bring nothing new.
_SGD = {"schedule": "constant", "lr": 20.0, "weight_decay": 1.2e-6, "nonmono": 2, "epochs": 18}

ROWS = [
    Row("everything on", "techniques"),
    Row("no embedding dropout", "techniques", {"embedding_dropout": 0.0}),
    Row("no input dropout", "techniques", {"input_dropout": 0.0}),
    Row("no dropout between layers", "techniques", {"hidden_dropout": 0.0}),
    Row("no output dropout", "techniques", {"output_dropout": 0.0}),
    Row("no weight dropout", "techniques", {"weight_dropout": 0.0}),
    Row("no AR", "techniques", {"alpha": 0.0}),
    Row("no TAR", "techniques", {"beta": 0.0}),
    Row("no weight decay", "techniques", {"weight_decay": 0.0}),
    Row("no weight tying", "techniques", {"tied": False}),
    Row("windows of one length", "techniques", fixed_windows=True),
    Row("constant learning rate", "techniques", {"schedule": "constant"}),
    Row("SGD, constant rate", "optimizers", {"optimizer": "sgd", **_SGD}),
    Row("NT-ASGD, constant rate", "optimizers", {"optimizer": "nt-asgd", **_SGD}),
    Row("GRU", "cells", {"cell": "gru"}),
    Row("QRNN", "cells", {"cell": "qrnn", "hidden_size": 256}),
    Row("Transformer", "cells", {"cell": "transformer", "weight_dropout": 0.0, "lr": 2e-3}),
    Row("full softmax", "outputs", {"softmax": "full"}),
    Row("sigsoftmax", "outputs", {"softmax": "sigsoftmax"}),
    Row("mixture of 3 softmaxes", "outputs", {"softmax": "mixture", "components": 3}),
]
