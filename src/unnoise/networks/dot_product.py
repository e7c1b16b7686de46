"""Scaled dot-product attention, by the kernel that trains fastest."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

WRITTEN_OUT = 512
"""Keys up to which two products and a softmax train faster in bf16 on a CPU than torch's fused kernel (docs/lab.md)."""


def dot_product_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d)) v: q (B, heads, N, d), k, v (B, heads, L, d) -> (B, heads, N, d) (Vaswani et al. 2017).

    mask: False where a query may not look, broadcast to (B, heads, N, L); each query may look somewhere. Where a
    gradient will be asked for in bf16 on a CPU, and there are few keys, the products are written out: the backward pass
    of the fused kernel takes several times as long there.
    """
    slow = q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled()
    if not slow or k.shape[-2] > WRITTEN_OUT:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = (q / math.sqrt(q.shape[-1])) @ k.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1) @ v
