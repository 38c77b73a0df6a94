"""What trained weights are worth, in NumPy and float64, from the papers' equations.

Covered: each architecture of the variants as a function from prefixes to scores, greedy and beam
search over such a function, NLLs. Not covered: what words are worth to the referee, and points,
which are the grader's to say. No code is shared with a hand-in or with the grader.
"""

from collections.abc import Callable

import numpy as np

from autograder.fixtures import Fixtures

State = dict[str, np.ndarray]
Scores = Callable[[np.ndarray], np.ndarray]  # int64 [rows, length] → float64 [rows, vocabulary]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def gru(w: State, ids: np.ndarray) -> np.ndarray:
    x = w["embedding.weight"][ids]
    h = np.zeros((len(ids), w["rnn.weight_hh_l0"].shape[1]))
    for t in range(ids.shape[1]):
        read = np.split(x[:, t] @ w["rnn.weight_ih_l0"].T + w["rnn.bias_ih_l0"], 3, axis=1)
        kept = np.split(h @ w["rnn.weight_hh_l0"].T + w["rnn.bias_hh_l0"], 3, axis=1)
        r, z = sigmoid(read[0] + kept[0]), sigmoid(read[1] + kept[1])
        h = (1 - z) * np.tanh(read[2] + r * kept[2]) + z * h
    return h @ w["decoder.weight"].T + w["decoder.bias"]


def lstm(w: State, ids: np.ndarray) -> np.ndarray:
    x = w["encoder.weight"][ids]
    h = c = np.zeros((len(ids), w["rnn.weight_hh_l0"].shape[1]))
    bias = w["rnn.bias_ih_l0"] + w["rnn.bias_hh_l0"]
    for t in range(ids.shape[1]):
        gates = x[:, t] @ w["rnn.weight_ih_l0"].T + h @ w["rnn.weight_hh_l0"].T + bias
        i, f, g, o = np.split(gates, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
    return h @ w["encoder.weight"].T + w["decoder.bias"]


def qrnn(w: State, ids: np.ndarray) -> np.ndarray:
    x = w["embedding.weight"][ids]
    for layer in ("first", "second"):
        before = np.concatenate([np.zeros_like(x[:, :1]), x[:, :-1]], axis=1)
        old, new = np.moveaxis(w[f"{layer}.weight"], 2, 0)
        z, f, o = np.split(before @ old.T + x @ new.T + w[f"{layer}.bias"], 3, axis=2)
        c, outputs = np.zeros_like(z[:, 0]), []
        for t in range(ids.shape[1]):
            c = sigmoid(f[:, t]) * c + (1 - sigmoid(f[:, t])) * np.tanh(z[:, t])
            outputs.append(sigmoid(o[:, t]) * c)
        x = np.stack(outputs, axis=1)
    return x[:, -1] @ w["decoder.weight"].T + w["decoder.bias"]


def transformer(w: State, ids: np.ndarray) -> np.ndarray:
    (rows, time), size, heads = ids.shape, w["embedding.weight"].shape[1], 4
    angle = np.arange(time)[:, None] / 10_000 ** (np.arange(0, size, 2) / size)
    x = w["embedding.weight"][ids] * np.sqrt(size)
    x[:, :, 0::2] += np.sin(angle)
    x[:, :, 1::2] += np.cos(angle)
    future = np.triu(np.full((time, time), -np.inf), 1)

    def linear(x: np.ndarray, name: str, dot: str = ".") -> np.ndarray:
        return x @ w[f"{name}{dot}weight"].T + w[f"{name}{dot}bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = x - x.mean(axis=2, keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=2, keepdims=True) + 1e-5)
        return x * w[f"{name}.weight"] + w[f"{name}.bias"]

    for layer in ("layers.layers.0", "layers.layers.1"):
        read = linear(norm(x, f"{layer}.norm1"), f"{layer}.self_attn.in_proj", "_")
        q, k, v = read.reshape(rows, time, 3, heads, -1).transpose(2, 0, 3, 1, 4)
        attention = np.exp(log_softmax(q @ k.swapaxes(2, 3) / np.sqrt(size / heads) + future))
        seen = (attention @ v).swapaxes(1, 2).reshape(rows, time, size)
        x = x + linear(seen, f"{layer}.self_attn.out_proj")
        inner = np.maximum(0, linear(norm(x, f"{layer}.norm2"), f"{layer}.linear1"))
        x = x + linear(inner, f"{layer}.linear2")
    return linear(x[:, -1], "decoder")


def parameters(w: State, ids: np.ndarray) -> np.ndarray:
    h = np.tile(w["start"], (len(ids), 1))
    for t in range(ids.shape[1]):
        both = w["words"][ids[:, t]] @ w["read"] + h @ w["keep"] + w["bias"]
        gate, new = np.split(both, 2, axis=1)
        h = sigmoid(gate) * h + (1 - sigmoid(gate)) * np.tanh(new)
    return h @ w["write"] + w["prior"]


def window(w: State, ids: np.ndarray) -> np.ndarray:
    return np.maximum(0, convolved(w, ids)) @ w["decoder.weight"].T + w["decoder.bias"]


def convolved(w: State, ids: np.ndarray) -> np.ndarray:
    x = w["embedding.weight"][ids[:, -10:]]
    return np.einsum("btf,oft->bo", x, w["hidden.weight"]) + w["hidden.bias"]


def adaptive(w: State, ids: np.ndarray) -> np.ndarray:
    features = np.maximum(0, convolved(w, ids))
    head = log_softmax(features @ w["softmax.head.weight"].T)
    common = head.shape[1] - 2  # beside them, the two clusters
    parts = [head[:, :common]]
    for i in (0, 1):
        inner = features @ w[f"softmax.tail.{i}.0.weight"].T
        within = log_softmax(inner @ w[f"softmax.tail.{i}.1.weight"].T)
        parts.append(head[:, common + i, None] + within)
    return np.concatenate(parts, axis=1)[:, w["rank"].astype(np.int64)]


def rounded(w: State, ids: np.ndarray) -> np.ndarray:
    return window(w, ids)[:, :30]  # the vocabulary; what is beyond it is no word


MODELS: dict[str, Callable[[State, np.ndarray], np.ndarray]] = {
    model.__name__: model
    for model in (gru, lstm, qrnn, transformer, parameters, window, rounded, adaptive)
}


def log_softmax(scores: np.ndarray) -> np.ndarray:
    top = scores.max(axis=-1, keepdims=True)
    return scores - top - np.log(np.exp(scores - top).sum(axis=-1, keepdims=True))


def beam(scores: Scores, prompts: np.ndarray, forward: int, width: int) -> np.ndarray:
    """The best of `width` continuations kept at each step, int64 [rows, forward]; 1 is greedy."""
    kept = [[(0.0, list(prompt))] for prompt in prompts.tolist()]
    for _ in range(forward):
        log_p = iter(log_softmax(scores(np.array([ids for row in kept for _, ids in row]))))
        for i, row in enumerate(kept):
            longer = [
                (total + p, [*ids, word])
                for total, ids in row
                for word, p in enumerate(next(log_p).tolist())
            ]
            kept[i] = sorted(longer, reverse=True)[:width]
    return np.array([row[0][1][prompts.shape[1] :] for row in kept])


def next_word_nll(scores: Scores, fixtures: Fixtures) -> np.ndarray:
    """The NLL of each next word, float64 [rows]."""
    log_p = log_softmax(scores(fixtures.prediction))
    return -log_p[np.arange(len(log_p)), fixtures.next_word]
