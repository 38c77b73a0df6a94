"""Given code, to be edited: the settings of a run, one frozen dataclass, and presets made of it."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Config:
    """Everything that a run is made of. `train.py` turns each field into a flag.

    Fields that are also parameters of `LanguageModel` go to it, and into the checkpoint.
    """

    # the model
    cell: str = "lstm"
    embedding_size: int = 256
    hidden_size: int = 256
    num_layers: int = 2
    heads: int = 4
    softmax: str = "adaptive"
    cutoffs: tuple[int, ...] = (500, 4000, 12000)
    components: int = 10
    tied: bool = True
    # regularisation
    embedding_dropout: float = 0.0
    input_dropout: float = 0.1
    hidden_dropout: float = 0.1
    output_dropout: float = 0.1
    weight_dropout: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0
    weight_decay: float = 1e-6
    # the run
    blank_lines: bool = False  # keep an <eol> for each blank line, as the papers count
    optimizer: str = "adam"
    schedule: str = "one-cycle"
    lr: float = 6e-3
    clip: float = 0.25
    nonmono: int = 5
    batch_size: int = 20
    bptt: int = 70
    epochs: int = 4
    precision: str = "auto"  # float32, bfloat16, or auto: bfloat16 on an NVIDIA GPU
    compile: bool = False
    seed: int = 11785


# Merity et al. 2017, section 5, for a GPU.
AWD_LSTM = Config(
    embedding_size=400,
    hidden_size=1150,
    num_layers=3,
    softmax="full",
    embedding_dropout=0.1,
    input_dropout=0.65,
    hidden_dropout=0.2,
    output_dropout=0.4,
    weight_dropout=0.5,
    alpha=2.0,
    beta=1.0,
    weight_decay=1.2e-6,
    blank_lines=True,
    optimizer="nt-asgd",
    schedule="constant",
    lr=30.0,
    batch_size=80,
    epochs=750,
)

# Averaging from the first step on, from the weights given with --start (ibid., section 5).
FINE_TUNING = replace(AWD_LSTM, optimizer="asgd")

# Yang et al. 2018, appendix B.1, with layers of one width.
AWD_LSTM_MOS = replace(
    AWD_LSTM,
    embedding_size=300,
    hidden_size=960,
    softmax="mixture",
    components=15,
    input_dropout=0.55,
    lr=15.0,
    batch_size=15,
    epochs=1000,
)

# The authors' code for WikiText-2: salesforce/awd-lstm-lm, README.
AWD_QRNN = replace(
    AWD_LSTM,
    cell="qrnn",
    hidden_size=1550,
    num_layers=4,
    input_dropout=0.4,
    weight_dropout=0.1,
    optimizer="nt-asgd",
    epochs=500,
)

# The embedded corpus has 30 words: a small model learns it in a minute or two.
NUMBERS = Config(
    embedding_size=64,
    hidden_size=128,
    softmax="full",
    input_dropout=0.0,
    hidden_dropout=0.0,
    output_dropout=0.0,
    batch_size=10,
    bptt=50,
    epochs=40,
)

# The first one is the default; one named after a corpus is the default there.
PRESETS = {
    "quick": Config(),
    "numbers": NUMBERS,
    "awd-lstm": AWD_LSTM,
    "fine-tuning": FINE_TUNING,
    "awd-lstm-mos": AWD_LSTM_MOS,
    "awd-qrnn": AWD_QRNN,
}
