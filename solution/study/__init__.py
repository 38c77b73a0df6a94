"""What each technique and each system is worth, on a small fixed budget."""

from .rows import ROWS, SMALL, Row
from .text import small_text

__all__ = ["ROWS", "SMALL", "Row", "small_text"]
