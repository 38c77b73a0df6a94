"""Weights and settings, saved as tensors and text; nothing is pickled."""
import inspect, json
from dataclasses import asdict
from pathlib import Path
import safetensors.torch
def model_settings(model_class, config):
    names = inspect.signature(model_class.__init__).parameters
    return {k: v for k, v in asdict(config).items() if k in names}
def save(path, model, settings):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_model(model, str(path), {"settings": json.dumps(settings)})
