"""Multi-head attention (Vaswani et al. 2017) with every option of PyTorch's functional form."""

from __future__ import annotations

import math
import warnings
from typing import Any

import minitorch_bn as torch
from minitorch_bn import ops

Tensor = torch.Tensor


def canonical_mask(mask: Tensor | None, name: str, dtype: torch.dtype) -> Tensor | None:
    """A mask as numbers to add to the scores: where a boolean one is True (do not attend) -inf, elsewhere 0."""
    if mask is None or mask.is_floating_point():
        return mask
    if mask.dtype != torch.bool:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    return torch.zeros(mask.shape, dtype=dtype).masked_fill_(mask, float("-inf"))


def _project_inputs(inputs: tuple[Tensor, Tensor, Tensor], stacked: Any, separate: tuple | None,
                    bias: Tensor | None) -> list[Tensor]:
    """Query, key and value times their weights: three of them, or thirds of a stacked one (3E, E), which is used in one
    product where the three inputs are the same."""
    query, key, value = inputs
    if separate is None and query is key and key is value:
        return list(ops.linear(query, stacked, bias).chunk(3, -1))
    weights = separate or stacked.chunk(3)
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return [ops.linear(x, w, b) for x, w, b in zip(inputs, weights, biases)]


def _check_shapes(query: Tensor, key: Tensor, value: Tensor) -> None:
    if query.dim() not in (2, 3):
        raise AssertionError("query should be unbatched 2D or batched 3D tensor but received "
                             f"{query.dim()}-D query tensor")
    if not query.dim() == key.dim() == value.dim():
        raise AssertionError(f"For {'batched' if query.dim() == 3 else 'unbatched'} `query`, expected `key` and "
                             f"`value` to be {query.dim()}-D but found {key.dim()}-D and {value.dim()}-D tensors "
                             "respectively")


def multi_head_attention_forward(
        query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int,
        in_proj_weight: Tensor | None, in_proj_bias: Tensor | None, bias_k: Tensor | None, bias_v: Tensor | None,
        add_zero_attn: bool, dropout_p: float, out_proj_weight: Tensor, out_proj_bias: Tensor | None,
        training: bool = True, key_padding_mask: Tensor | None = None, need_weights: bool = True,
        attn_mask: Tensor | None = None, use_separate_proj_weight: bool = False, q_proj_weight: Tensor | None = None,
        k_proj_weight: Tensor | None = None, v_proj_weight: Tensor | None = None, static_k: Tensor | None = None,
        static_v: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False) -> tuple[Tensor, Tensor | None]:
    """softmax(Q K^T / sqrt(d)) V in `num_heads` heads, between input and output projections.

    Shapes: query (L, N, E), key and value (S, N, E), or all without N; output (L, N, E), weights (N, L, S), or
    (N, heads, L, S) if not averaged; None unless `need_weights`. `key_padding_mask` (N, S) and `attn_mask` (L, S) or
    (N * heads, L, S): True, or -inf, where not to attend. `static_k`, `static_v` (N * heads, S, d) replace key, value.
    """
    _check_shapes(query, key, value)
    if query.dim() == 2:
        output, weights = multi_head_attention_forward(
            query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1), embed_dim_to_check, num_heads, in_proj_weight,
            in_proj_bias, bias_k, bias_v, add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training,
            None if key_padding_mask is None else key_padding_mask.unsqueeze(0), need_weights, attn_mask,
            use_separate_proj_weight, q_proj_weight, k_proj_weight, v_proj_weight, static_k, static_v,
            average_attn_weights, is_causal)
        return output.squeeze(1), None if weights is None else weights.squeeze(0)

    target_len, batch, embed_dim = query.shape
    if embed_dim != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}")
    head_dim = embed_dim // num_heads
    if head_dim * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")

    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _project_inputs((query, key, value), in_proj_weight, separate, in_proj_bias)
    if bias_k is not None and bias_v is not None:
        k = torch.cat([k, bias_k.expand(1, batch, embed_dim)])
        v = torch.cat([v, bias_v.expand(1, batch, embed_dim)])

    def heads(x: Tensor) -> Tensor:  # (length, N, E) -> (N, heads, length, d)
        return x.reshape(-1, batch, num_heads, head_dim).permute(1, 2, 0, 3)

    q = heads(q)
    k = heads(k) if static_k is None else static_k.reshape(batch, num_heads, -1, head_dim)
    v = heads(v) if static_v is None else static_v.reshape(batch, num_heads, -1, head_dim)
    if add_zero_attn:
        zero = k.new_zeros((batch, num_heads, 1, head_dim))
        k, v = torch.cat([k, zero], 2), torch.cat([v, zero], 2)

    source_len = k.size(2)
    added = int(bias_k is not None) + int(add_zero_attn)  # columns that no mask covers
    mask = _joint_mask(attn_mask, key_padding_mask, batch, num_heads, target_len, source_len, added, q.dtype)
    dropout_p = dropout_p if training else 0.0
    if need_weights:
        scores = (q * math.sqrt(1.0 / head_dim)) @ k.transpose(-2, -1)
        weights = ops.softmax(scores if mask is None else scores + mask, -1, None)
        weights = ops.dropout(weights, dropout_p, True) if dropout_p > 0 else weights
        mixed = weights @ v
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        mixed, weights = ops.scaled_dot_product_attention(q, k, v, mask, dropout_p), None
    mixed = mixed.permute(2, 0, 1, 3).reshape(target_len, batch, embed_dim)
    return ops.linear(mixed, out_proj_weight, out_proj_bias), weights


def _joint_mask(attn_mask: Tensor | None, key_padding_mask: Tensor | None, batch: int, num_heads: int,
                target_len: int, source_len: int, added: int, dtype: torch.dtype) -> Tensor | None:
    """Both masks as one that is added to the scores (N, heads, L, S), or None."""
    if (attn_mask is not None and key_padding_mask is not None and attn_mask.dtype != key_padding_mask.dtype):
        warnings.warn("Support for mismatched key_padding_mask and attn_mask is deprecated. Use same type for both "
                      "instead.", stacklevel=4)
    mask = canonical_mask(attn_mask, "attn_mask", dtype)
    if mask is not None:
        shapes = {2: (target_len, source_len - added), 3: (batch * num_heads, target_len, source_len - added)}
        if mask.dim() not in shapes:
            raise RuntimeError(f"attn_mask's dimension {mask.dim()} is not supported")
        if tuple(mask.shape) != shapes[mask.dim()]:
            raise RuntimeError(f"The shape of the {mask.dim()}D attn_mask is {tuple(mask.shape)}, but should be "
                               f"{shapes[mask.dim()]}.")
        if mask.dim() == 3:
            mask = mask.reshape(batch, num_heads, target_len, source_len - added)
    padding = canonical_mask(key_padding_mask, "key_padding_mask", dtype)
    if padding is not None:
        if tuple(padding.shape) != (batch, source_len - added):
            raise AssertionError(f"key_padding_mask has shape {tuple(padding.shape)}, but should be "
                                 f"{(batch, source_len - added)}")
        padding = padding.reshape(batch, 1, 1, -1)
        mask = padding if mask is None else mask + padding
    return ops.pad(mask, (0, added)) if mask is not None and added else mask
