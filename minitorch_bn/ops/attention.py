"""Scaled dot-product attention, composed of products and a softmax."""
from __future__ import annotations

import math

from minitorch_bn._core import Tensor, full, where


def scaled_dot_product_attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
                                 dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
                                 enable_gqa: bool = False) -> Tensor:
    """softmax(query key^T * scale + mask) value (Vaswani et al. 2017).

    query (..., L, E), key (..., S, E), value (..., S, Ev) -> (..., L, Ev). `attn_mask` broadcasts to (..., L, S): True
    (or a number that is added) where to attend. `is_causal`: position i sees keys up to i. `scale`: 1 / sqrt(E) by
    default.
    """
    from minitorch_bn.ops import dropout, softmax
    if is_causal and attn_mask is not None:
        raise RuntimeError("scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), -3)
        value = value.repeat_interleave(query.size(-3) // value.size(-3), -3)
    scores = (query * (1 / math.sqrt(query.size(-1)) if scale is None else scale)) @ key.transpose(-2, -1)
    seen = None
    if is_causal:                     # what is not seen is minus infinity: its weight, and with it its gradient, is 0
        scores = scores + full((query.size(-2), key.size(-2)), -math.inf, dtype=scores.dtype).triu(1)
    elif attn_mask is not None:
        if not attn_mask.is_floating_point():
            seen = attn_mask.any(-1, True)     # a query that may attend to nothing gets zeros, not NaN
            attn_mask = full((), 0.0, dtype=scores.dtype).where(attn_mask | ~seen, -math.inf)
        scores = scores + attn_mask
    weights = softmax(scores, -1)
    result = (dropout(weights, dropout_p, True) if dropout_p > 0 else weights) @ value
    return result if seen is None else where(seen, result, full((), 0.0, dtype=result.dtype))


PRIMITIVES = {"scaled_dot_product_attention": scaled_dot_product_attention}
