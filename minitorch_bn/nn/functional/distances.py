"""Distances between vectors, and scaling vectors to length one."""

from __future__ import annotations

import minitorch_bn as torch
from minitorch_bn.ops import vector_norm

Tensor = torch.Tensor


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """x / max(|x|_p, eps) along `dim`."""
    result = input / vector_norm(input, p, dim, keepdim=True).clamp_min(eps)
    return result if out is None else out.copy_(result)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) * max(|x2|, eps)) along `dim` of the broadcast inputs."""
    x1, x2 = torch.broadcast_tensors(x1, x2)
    unit1, unit2 = (x / vector_norm(x, 2, dim, keepdim=True).clamp_min(eps) for x in (x1, x2))
    return (unit1 * unit2).sum(dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """|x1 - x2 + eps|_p along the last axis."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances of all pairs i < j of the rows of (N, M), in that order: (N (N - 1) / 2,)."""
    rows, columns = torch.triu_indices(input.size(0), input.size(0), 1)
    return vector_norm(input[rows] - input[columns], p, -1, keepdim=False)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_o = x1^T W_o x2 + b_o: (*, I), (*, J), weight (O, I, J) -> (*, O)."""
    out_features, in1, in2 = weight.shape
    if input1.size(-1) != in1 or input2.size(-1) != in2 or input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(f"bilinear(): input1 {list(input1.shape)} and input2 {list(input2.shape)} do not fit the "
                           f"weight {list(weight.shape)}: expected (*, {in1}) and (*, {in2}) with the same *")
    left = (input1 @ weight.permute(1, 0, 2).reshape(in1, -1)).reshape(*input1.shape[:-1], out_features, in2)
    result = (left @ input2.unsqueeze(-1)).squeeze(-1)
    return result if bias is None else result + bias
