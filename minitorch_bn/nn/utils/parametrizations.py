"""The usual parametrizations: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

from enum import Enum
from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn import functional as F
from minitorch_bn.nn.conv import _ConvTransposeNd
from minitorch_bn.nn.module import Module
from minitorch_bn.nn.utils import parametrize
from minitorch_bn.nn.utils.weight_norms import norm_except_dim

Tensor = torch.Tensor


# -- weight norm -----------------------------------------------------------------------------------------------------


class _WeightNorm(Module):
    """g * v / |v|, the norms over all axes but `dim`."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, 2, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The norms g, and v = weight."""
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int = 0) -> Module:
    """Learn the norms over all axes but `dim` (all axes for None) and the directions of a weight separately
    (Salimans & Kingma 2016): `parametrizations.weight.original0` and `.original1`."""
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(_OldWeightNormKeys(name))
    return module


class _OldWeightNormKeys:
    """Renames the keys of the older weight norm, `weight_g` and `weight_v`, before loading."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, state_dict: dict, prefix: str, *rest: Any) -> None:
        old = [f"{prefix}{self.name}_g", f"{prefix}{self.name}_v"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{self.name}.original{i}"] = state_dict.pop(key)


# -- spectral norm ---------------------------------------------------------------------------------------------------


class _SpectralNorm(Module):
    """The weight divided by its largest singular value, which a few power iterations per call estimate."""

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if not -weight.dim() <= dim < weight.dim():
            raise IndexError(f"Dimension out of range (expected to be in range of [-{weight.dim()}, "
                             f"{weight.dim() - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError("Expected n_power_iterations to be positive, but got "
                             f"n_power_iterations={n_power_iterations}")
        self.dim = dim % weight.dim()
        self.eps = eps
        if weight.dim() > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._reshape_weight_to_matrix(weight.detach())
            rows, columns = matrix.shape
            u, v = matrix.new_empty(rows).normal_(0, 1), matrix.new_empty(columns).normal_(0, 1)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    @torch.no_grad()
    def _power_method(self, matrix: Tensor, iterations: int) -> None:
        for _ in range(iterations):
            self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=self.eps))
            self._v.copy_(F.normalize(matrix.t() @ self._u, dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._reshape_weight_to_matrix(weight)
        if self.training:
            self._power_method(matrix.detach(), self.n_power_iterations)
        u, v = self._u.clone(), self._v.clone()  # the next call changes the buffers; a backward may still come
        return weight / torch.dot(u, matrix @ v)

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself: it is assumed to have spectral norm one."""
        return value


def _tensor_of(module: Module, name: str) -> Tensor:
    tensor = getattr(module, name, None)
    if not isinstance(tensor, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return tensor


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> Module:
    """Divide a weight, as a matrix with rows along `dim`, by its largest singular value (Miyato et al. 2018)."""
    weight = _tensor_of(module, name)
    if dim is None:
        dim = 1 if isinstance(module, _ConvTransposeNd) else 0
    return parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


# -- orthogonal ------------------------------------------------------------------------------------------------------


class _OrthMaps(Enum):
    matrix_exp = 1
    cayley = 2
    householder = 3


def _is_orthogonal(q: Tensor) -> bool:
    identity = torch.eye(q.size(-1), dtype=q.dtype)
    return torch.allclose(q.mT @ q, identity, atol=10.0 * q.size(-2) * torch.finfo(q.dtype).eps)


def _make_orthogonal(a: Tensor) -> Tensor:
    """The Q of a = QR with a non-negative diagonal of R."""
    q, r = torch.linalg.qr(a)
    signs = torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).to(q.dtype)
    return q * signs.unsqueeze(-2)


class _Orthogonal(Module):
    """A matrix with orthonormal columns (or rows, if there are fewer) from any matrix of its shape.

    With `use_trivialization` it is `base` times such a matrix, and `base` is what a value is assigned to.
    """

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: _OrthMaps, *, use_trivialization: bool = True) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        wide = X.size(-2) < X.size(-1)
        x = X.mT if wide else X
        n, k = x.shape[-2:]
        if self.orthogonal_map == _OrthMaps.householder:
            a = x.tril(-1)
            tau = 2.0 / (1.0 + (a * a).sum(-2))
            q = torch.linalg.householder_product(a, tau)
            q = q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            x = x.tril()
            if n != k:
                x = torch.cat([x, x.new_zeros((*x.shape[:-1], n - k))], -1)
            skew = x - x.mT
            if self.orthogonal_map == _OrthMaps.matrix_exp:
                q = torch.linalg.matrix_exp(skew)
            else:
                identity = torch.eye(n, dtype=x.dtype)
                q = torch.linalg.solve(identity - 0.5 * skew, identity + 0.5 * skew)
            q = q[..., :k]
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    @torch.no_grad()
    def right_inverse(self, Q: Tensor) -> Tensor:
        """What `forward` makes Q of. Q that is not orthogonal is replaced by the nearest kind by a QR decomposition."""
        if Q.shape != self.shape:
            raise ValueError(f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape "
                             f"{Q.shape}.")
        wide = Q.size(-2) < Q.size(-1)
        q = Q.mT if wide else Q
        n, k = q.shape[-2:]
        if not hasattr(self, "base"):
            if self.orthogonal_map != _OrthMaps.householder:
                raise NotImplementedError("It is not possible to assign to the matrix exponential or the Cayley "
                                          "parametrizations when use_trivialization=False.")
            a, tau = torch.geqrf(q)
            diagonal = a.diagonal(dim1=-2, dim2=-1)
            signs = torch.where(tau == 0, -diagonal.sign(), diagonal.sign())
            a = a - torch.diag_embed(diagonal) if n == k else a.clone()
            for i in range(k):
                a[..., i, i] = signs[..., i]
            return a.mT if wide else a
        if n == k:
            q = q.clone() if _is_orthogonal(q) else _make_orthogonal(q)
        else:
            q = _make_orthogonal(torch.cat([q, torch.randn((*q.shape[:-1], n - k), dtype=q.dtype)], -1))
        self.base = q
        minus_identity = torch.zeros_like(Q)
        for i in range(k):
            minus_identity[..., i, i] = -1.0
        return minus_identity


def orthogonal(module: Module, name: str = "weight", orthogonal_map: str | None = None, *,
               use_trivialization: bool = True) -> Module:
    """Keep a matrix (or a batch of them) orthogonal: orthonormal columns, or rows if there are fewer.

    `orthogonal_map`: 'matrix_exp' (default for square matrices), 'cayley', or 'householder' (default for others).
    """
    weight = _tensor_of(module, name)
    if weight.dim() < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.size(-2) == weight.size(-1) else "householder"
    if orthogonal_map not in _OrthMaps.__members__:
        raise ValueError('orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: '
                         f"{orthogonal_map}")
    parametrization = _Orthogonal(weight, _OrthMaps[orthogonal_map], use_trivialization=use_trivialization)
    return parametrize.register_parametrization(module, name, parametrization, unsafe=True)
