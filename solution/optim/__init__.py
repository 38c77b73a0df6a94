"""What training minimises, and optimizers and schedules that PyTorch lacks or words otherwise."""

from .nt_asgd import NTASGD
from .objective import Objective
from .schedule import (
    SCHEDULES,
    constant,
    discriminative_rates,
    one_cycle,
    slanted_triangular,
    unfrozen,
)

__all__ = [
    "NTASGD",
    "SCHEDULES",
    "Objective",
    "constant",
    "discriminative_rates",
    "one_cycle",
    "slanted_triangular",
    "unfrozen",
]
