"""Forget-gate pooling."""

import torch


def pool(z, f):
    """h[t] = f[t] h[t-1] + (1 - f[t]) z[t], over [batch, features, time]."""
    h, steps = torch.zeros_like(z[..., 0]), []
    for t in range(z.size(2)):
        h = f[..., t] * h + (1 - f[..., t]) * z[..., t]
        steps.append(h)
    return torch.stack(steps, dim=2)
