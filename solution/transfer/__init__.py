"""Transfer from a language model to a classifier (ULMFiT, Howard and Ruder 2018)."""

from .classifier import Classifier, Head, LanguageModelEncoder, pool
from .fitting import Course, fit
from .stages import Plan, fit_classifier, fit_language_model
from .task import Passages, Task, TaskError

__all__ = [
    "Classifier",
    "Course",
    "Head",
    "LanguageModelEncoder",
    "Passages",
    "Plan",
    "Task",
    "TaskError",
    "fit",
    "fit_classifier",
    "fit_language_model",
    "pool",
]
