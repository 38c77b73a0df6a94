"""Reads a referee's weights and computes log-probabilities with them."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import safetensors
import torch
import torch.nn.functional as F
from torch import Tensor

from ..faults import Fault

FOLDER = Path(__file__).parent
Parameters = dict[str, Tensor]


@contextmanager
def one_thread() -> Iterator[None]:
    """Have torch compute in one thread, so that sums are rounded alike on every machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class RefereeError(Fault):
    """There is no referee for a corpus, or its file is damaged: a fault of the grader's own."""


class Referee:
    """A recurrent language model with tied (adaptive) softmax, in evaluation.

    Args:
        parameters: tensors by name, as `solution/language_model.py` names them.
        settings: that model's settings.
        measured: NLL of the whole split, with prefixes as long as the fixtures', by split.
        digest: SHA-256 of the file.

    Raises:
        RefereeError: the settings are of a model that is not computed here.
    """

    def __init__(
        self, parameters: Parameters, settings: dict, measured: dict[str, float], digest: str
    ) -> None:
        self.adaptive = settings.get("softmax", "adaptive") == "adaptive"
        known = self.adaptive or settings["softmax"] == "full"
        if settings["cell"] not in _LAYERS or not known or not settings.get("tied", True):
            raise RefereeError(
                f"a referee is an LSTM or QRNN with a full or adaptive softmax and tied weights; "
                f"this model's settings are {json.dumps(settings)}"
            )
        self.parameters = {
            name: p.float() if p.is_floating_point() else p for name, p in parameters.items()
        }
        self.settings = settings
        self.measured = measured
        self.digest = digest
        self.rank = self.parameters["rank"]
        self.vocab_size = len(self.rank)

    @torch.no_grad()
    @one_thread()
    def word_nll(self, prefix: np.ndarray, words: np.ndarray, rows: int = 256) -> np.ndarray:
        """Return the NLL of each word given the prefix and the words before it.

        Args:
            prefix: int64 [n, length].
            words: int64 [n, k].
            rows: computed at a time, to bound memory.

        Returns:
            float64 [n, k], in nats.
        """
        out = []
        for start in range(0, len(prefix), rows):
            here, new = (
                torch.from_numpy(np.ascontiguousarray(part[start : start + rows]))
                for part in (prefix, words)
            )
            read = torch.cat([here, new[:, :-1]], dim=1)
            features = self._features(read)[:, here.size(1) - 1 :]
            nll = self._nll(features.flatten(0, 1), self.rank[new].flatten())
            out.append(nll.double().view(new.shape).numpy())
        return np.concatenate(out)

    def _features(self, ids: Tensor) -> Tensor:
        """Return the last layer's output, float [batch, time, features], of int64 ids."""
        p = self.parameters
        x = F.embedding(self.rank[ids], p["embedding.weight"])
        for i in range(self.settings["num_layers"]):
            layer = _LAYERS[self.settings["cell"]]
            x = layer(x, {k.split(".", 2)[2]: v for k, v in p.items() if f"layers.{i}." in k})
        return x

    def _nll(self, hidden: Tensor, ranks: Tensor) -> Tensor:
        """Return -log p of words by rank, float [n], of hidden [n, features]."""
        weight = self.parameters.get("embedding.weight")
        bias = self.parameters["decoder.bias"]
        cutoffs = self.settings["cutoffs"] if self.adaptive else []
        edges = [0, *(c for c in cutoffs if c < len(weight)), len(weight)]
        if len(edges) == 2:
            return F.cross_entropy(F.linear(hidden, weight, bias), ranks, reduction="none")
        p = self.parameters
        head = torch.cat(
            [
                F.linear(hidden, weight[: edges[1]], bias[: edges[1]]),
                F.linear(hidden, p["decoder.clusters.weight"], p["decoder.clusters.bias"]),
            ],
            dim=1,
        ).log_softmax(dim=1)
        nll = torch.empty(len(ranks))
        for k, (start, end) in enumerate(pairwise(edges)):
            (here,) = ((ranks >= start) & (ranks < end)).nonzero(as_tuple=True)
            if k == 0:
                nll[here] = -head[here, ranks[here]]
            elif len(here):
                projected = F.linear(hidden[here], p[f"decoder.projections.{k - 1}.weight"])
                rows = weight[start:end, : projected.size(1)]
                inside = F.cross_entropy(
                    F.linear(projected, rows, bias[start:end]),
                    ranks[here] - start,
                    reduction="none",
                )
                nll[here] = inside - head[here, edges[1] + k - 1]
        return nll


def _lstm(x: Tensor, p: Parameters) -> Tensor:
    weights = [p["weight_ih_l0"], p["weight_hh_l0"], p["bias_ih_l0"], p["bias_hh_l0"]]
    zeros = x.new_zeros(1, x.size(0), weights[1].size(1))
    return torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, False, False, True)[0]


def _qrnn(x: Tensor, p: Parameters) -> Tensor:
    weight = p["gates.weight"]
    if weight.size(1) == 2 * x.size(2):
        before = F.pad(x[:, :-1], (0, 0, 1, 0))
        gates = F.linear(torch.cat([x, before], dim=2), weight, p["gates.bias"])
    else:
        gates = F.linear(x, weight, p["gates.bias"])
    z, f, o = gates.chunk(3, dim=2)
    z, f, o = z.tanh(), f.sigmoid(), o.sigmoid()
    c, states = x.new_zeros(x.size(0), z.size(2)), []
    for t in range(x.size(1)):
        c = f[:, t] * c + (1 - f[:, t]) * z[:, t]
        states.append(c)
    return o * torch.stack(states, dim=1)


_LAYERS = {"lstm": _lstm, "qrnn": _qrnn}


def load(corpus: str, folder: Path = FOLDER) -> Referee:
    """Read the referee of a corpus.

    Raises:
        RefereeError: there is none, or the file cannot be read.
    """
    path = folder / f"{corpus}.safetensors"
    if not path.is_file():
        raise RefereeError(f"there is no referee for {corpus}: {path} is missing")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata()
            parameters = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        # Two names for one tensor are stored once; the metadata names the one that was kept.
        if "embedding.weight" not in parameters:
            parameters["embedding.weight"] = parameters["decoder.weight"]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Referee(
            parameters, json.loads(metadata["settings"]), json.loads(metadata["measured"]), digest
        )
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RefereeError(f"the referee {path} is damaged: {error}") from error
