"""Given code: saves and loads weights, settings and the state of a run, as tensors and text.

Nothing is pickled, so a file from a stranger can do no harm. Files are written whole or not at all.
"""

import inspect
import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

HALF_MAX = 60_000  # beyond this a number does not fit half precision
STALE_SECONDS = 3600


def model_settings(model_class: Callable[..., nn.Module], config: Any) -> dict[str, Any]:
    """Return those fields of a config that `model_class` has parameters for."""
    names = inspect.signature(model_class).parameters
    return {name: value for name, value in asdict(config).items() if name in names}


def save(path: Path, model: nn.Module, settings: dict[str, Any]) -> None:
    """Write a model's weights, in half precision, with the settings that build it.

    Args:
        path: a `.safetensors` file; its folder is made.
        model: what to save; tensors under two names (tied weights) are written once.
        settings: keyword arguments of the model's class, JSON values only.
    """
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() in seen and tensor.numel():
            continue
        seen.add(tensor.data_ptr())
        if tensor.is_floating_point() and (tensor.abs() < HALF_MAX).all():
            tensor = tensor.half()
        tensors[name] = tensor.detach().cpu().contiguous()
    _write(path, tensors, {"settings": json.dumps(settings)})


def load(path: Path, model_class: Callable[..., nn.Module], vocab_size: int) -> nn.Module:
    """Build the model that a file was saved from, in evaluation mode, as the grader does."""
    with safetensors.safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    model = model_class(vocab_size, **json.loads(metadata.get("settings", "{}")))
    load_weights(path, model)
    return model.eval()


def load_weights(path: Path, model: nn.Module) -> None:
    """Put a file's weights into a model that is there already.

    Raises:
        RuntimeError: they are those of another model.
    """
    safetensors.torch.load_model(model, path)


def save_state(path: Path, trainer: Any, extra: dict[str, Any]) -> None:
    """Write all that a run needs to go on as if it had never stopped.

    That is: the model, whatever else of the trainer has a `state_dict` (optimizers, schedulers),
    its plain attributes (counts, lists of losses), the random generators, and `extra`.
    """
    tensors: dict[str, Tensor] = {}
    state = {
        "parts": {name: part.state_dict() for name, part in _parts(trainer).items()},
        "plain": _plain(trainer),
        "random": _random_state(),
        "extra": extra,
    }
    skeleton = _take_apart(state, tensors)
    _write(path, tensors, {"state": json.dumps(skeleton)})


def load_state(path: Path, trainer: Any) -> dict[str, Any]:
    """Put a saved state into a new trainer and the random generators; return `extra`."""
    with safetensors.safe_open(path, "pt") as file:
        skeleton = json.loads(file.metadata()["state"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    state = _put_together(skeleton, tensors)
    for name, part in _parts(trainer).items():
        part.load_state_dict(state["parts"][name])
    for name, value in state["plain"].items():
        setattr(trainer, name, value)
    _set_random_state(state["random"])
    return state["extra"]


def read_extra(path: Path) -> dict[str, Any]:
    """Return what `save_state` was given as `extra`, without loading the rest."""
    with safetensors.safe_open(path, "pt") as file:
        return _put_together(json.loads(file.metadata()["state"]), {}, only="extra")


def _parts(trainer: Any) -> dict[str, Any]:
    return {
        name: part
        for name, part in vars(trainer).items()
        if hasattr(part, "state_dict") and hasattr(part, "load_state_dict")
    }


def _plain(trainer: Any) -> dict[str, Any]:
    """Attributes that are numbers, text, or lists and dicts of them; arguments are left out."""
    arguments = inspect.signature(type(trainer)).parameters

    def plain(value: Any) -> bool:
        if isinstance(value, list | tuple):
            return all(map(plain, value))
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        return value is None or isinstance(value, bool | int | float | str)

    return {
        name: value
        for name, value in vars(trainer).items()
        if name not in arguments and plain(value)
    }


def _random_state() -> dict[str, Any]:
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "python": random.getstate(),
    }


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    random.setstate(state["python"])


def _take_apart(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Replace tensors by their names, and containers by what JSON can say."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()  # tied ones may not share
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[k, _take_apart(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_take_apart(v, tensors) for v in value]}
    if isinstance(value, list):
        return [_take_apart(v, tensors) for v in value]
    return value


def _put_together(value: Any, tensors: dict[str, Tensor], only: str | None = None) -> Any:
    """Undo `_take_apart`; with `only`, that key of the outermost dict."""
    if isinstance(value, list):
        return [_put_together(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    if "tuple" in value:
        return tuple(_put_together(v, tensors) for v in value["tuple"])
    if only is not None:
        return _put_together(dict(value["dict"])[only], tensors)
    return {k: _put_together(v, tensors) for k, v in value["dict"]}


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*"):  # by a process that was killed while saving
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(safetensors.torch.save(tensors, metadata))
            file.flush()
            os.fsync(file.fileno())  # on disk before it takes the old one's place
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
