"""Ways to write text with a language model: greedy, beam search, and sampling.

All take the prompt's ids, int64 [batch, length], and return the new words only, int64
[batch, forward]. They read the prompt once and then one word a step, carrying the hidden state.
"""

import torch
from recurrent import Hidden, Network
from torch import Tensor


def next_word(model: Network, ids: Tensor, hidden: Hidden | None = None) -> tuple[Tensor, Hidden]:
    """Return log p of the word after each row, float [batch, vocabulary], and the hidden state."""
    _, features, hidden = model.features(ids, hidden)
    return model.log_probs(features[:, -1]), hidden


def greedy(model: Network, prompt: Tensor, forward: int) -> Tensor:
    """Take the most probable word at each step."""
    words, hidden, written = prompt, None, []
    for _ in range(forward):
        scores, hidden = next_word(model, words, hidden)
        words = scores.argmax(dim=-1, keepdim=True)
        written.append(words)
    return torch.cat(written, dim=1)


def beam_search(model: Network, prompt: Tensor, forward: int, width: int = 4) -> Tensor:
    """Return the most probable continuation found when the best `width` are kept at each step.

    Args:
        model: the model, in evaluation mode.
        prompt: int64 [batch, length].
        forward: words to write.
        width: continuations kept a row; 1 is greedy.
    """
    batch = len(prompt)
    scores, hidden = next_word(model, prompt)
    vocabulary = scores.size(-1)
    width = min(width, vocabulary)
    total, words = scores.topk(width)  # [batch, width]
    written = words.unsqueeze(-1)  # [batch, width, 1]
    # From here on a row of the model's batch is one beam: [batch * width].
    origin = torch.arange(batch, device=prompt.device).repeat_interleave(width)
    hidden = _rows(hidden, origin)
    for _ in range(forward - 1):
        scores, hidden = next_word(model, written[..., -1].reshape(-1, 1), hidden)
        grown = total.unsqueeze(-1) + scores.view(batch, width, vocabulary)
        total, best = grown.flatten(1).topk(width)
        beam, words = best // vocabulary, best % vocabulary
        hidden = _rows(hidden, (beam + torch.arange(batch).to(beam)[:, None] * width).flatten())
        kept = written.gather(1, beam.unsqueeze(-1).expand(-1, -1, written.size(-1)))
        written = torch.cat([kept, words.unsqueeze(-1)], dim=-1)
    return written[:, 0]


def sample(
    model: Network,
    prompt: Tensor,
    forward: int,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw each word from the model's distribution, sharpened or cut.

    Args:
        model: the model, in evaluation mode.
        prompt: int64 [batch, length].
        forward: words to write.
        temperature: scores are divided by it, above 0; below 1 sharpens.
        top_k: draw from the `top_k` most probable words only; 0 for all.
        top_p: draw from the fewest words that hold this share of the probability ("nucleus",
            Holtzman et al. 2020, section 3.1), above 0, at most 1.
        generator: source of randomness; None for torch's global one.

    Raises:
        ValueError: an argument is out of range.
    """
    if temperature <= 0 or top_k < 0 or not 0 < top_p <= 1:
        raise ValueError("temperature > 0, top_k >= 0 and 0 < top_p <= 1 are needed")
    words, hidden, written = prompt, None, []
    for _ in range(forward):
        scores, hidden = next_word(model, words, hidden)
        probs = _cut(scores / temperature, top_k, top_p).softmax(dim=-1)
        words = torch.multinomial(probs, 1, generator=generator)
        written.append(words)
    return torch.cat(written, dim=1)


def _cut(scores: Tensor, top_k: int, top_p: float) -> Tensor:
    """Set the scores of words that may not be drawn to -inf; [batch, vocabulary]."""
    if top_k and top_k < scores.size(-1):
        least = scores.topk(top_k).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if top_p < 1:
        ordered, order = scores.sort(descending=True)
        probs = ordered.softmax(dim=-1)
        # A word is out if those before it hold the share already; the first is always in.
        out = probs.cumsum(dim=-1) - probs >= top_p
        scores = ordered.masked_fill(out, -torch.inf).gather(-1, order.argsort(dim=-1))
    return scores


def _rows(hidden: Hidden, rows: Tensor) -> Hidden:
    """Pick rows of the batch out of a hidden state, whose tensors are [1, batch, features]."""
    return [tuple(part[:, rows] for part in state) for state in hidden]
