"""Optimizers and schedules that PyTorch lacks or words differently."""

from .nt_asgd import NTASGD
from .schedule import constant, one_cycle

__all__ = ["NTASGD", "constant", "one_cycle"]
