"""Batch norm of several kinds of data in one network: statistics, or weight and bias, by domain or label."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn import functional as F
from minitorch_bn.nn.module import Module
from minitorch_bn.nn.norm import BatchNorm2d, _BatchNorm
from minitorch_bn.nn.parameter import Parameter

from . import core
from .policy import explained, held

Tensor = torch.Tensor


class DomainBatchNorm(Module):
    """Batch norm of (N, C, *size) with a set of statistics, and of weight and bias, for each of `num_domains` domains.

    Called as `norm(x, domain)`: a number for the whole batch, or an integer tensor (N,) with one for each sample.

    Args:
        stats: "domain", each normalized for itself (AdaBN, Li et al. 2016; AdvProp, Xie et al. 2020), or "shared".
        affine: "domain", each has a weight and bias (de Vries et al. 2017), "shared", or None for none.
        on_single: "error" or "running": what training does with one value per channel of a domain.
    """

    def __init__(self, num_features: int, num_domains: int, eps: float = 1e-5, momentum: float | None = 0.1, *,
                 stats: str = "domain", affine: str | None = "domain", on_single: str = "error", device: Any = None,
                 dtype: torch.dtype | None = None) -> None:
        super().__init__()
        for name, value, known in (("stats", stats, ("domain", "shared")),
                                   ("affine", affine, ("domain", "shared", None)),
                                   ("on_single", on_single, ("error", "running"))):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
        self.num_features, self.num_domains, self.eps, self.momentum = num_features, num_domains, eps, momentum
        self.stats, self.affine, self.on_single = stats, affine, on_single
        sets = num_domains if stats == "domain" else 1
        new: Any = {"device": device, "dtype": dtype}
        self.register_buffer("running_mean", torch.zeros(sets, num_features, **new))
        self.register_buffer("running_var", torch.ones(sets, num_features, **new))
        self.register_buffer("num_batches_tracked", torch.zeros(sets, dtype=torch.long))
        shape = (num_domains if affine == "domain" else 1, num_features)
        self.register_parameter("weight", Parameter(torch.ones(shape, **new)) if affine else None)
        self.register_parameter("bias", Parameter(torch.zeros(shape, **new)) if affine else None)

    @classmethod
    def from_plain(cls, norm: _BatchNorm, num_domains: int, **options: Any) -> DomainBatchNorm:
        """The state of a plain batch norm as that of every domain."""
        made = cls(norm.num_features, num_domains, norm.eps, norm.momentum,
                   **{"affine": "domain" if norm.affine else None, **options})
        with torch.no_grad():
            for name, value in {**dict(norm.named_parameters()), **dict(norm.named_buffers())}.items():
                own = getattr(made, name, None)
                if own is not None:
                    own.copy_(value)
        return made

    def plain(self, domain: int, kind: type = BatchNorm2d) -> Any:
        """A plain batch norm with a copy of one domain's state."""
        made = kind(self.num_features, self.eps, self.momentum, self.affine is not None)
        with torch.no_grad():
            for name, value in {**dict(made.named_parameters()), **dict(made.named_buffers())}.items():
                own = getattr(self, name)
                value.copy_(own[domain if own.size(0) > 1 else 0])
        return made

    def _normalized(self, x: Tensor, row: int, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        mean, var = self.running_mean[row], self.running_var[row]
        single = x.numel() == x.size(1) and self.on_single == "running"
        if not self.training or single or x.numel() == 0:
            return F.batch_norm(x, mean, var, weight, bias, False, 0.0, self.eps)
        y, found = core.normalize(x, weight, bias, self.eps)
        if not held(self):
            core.update(mean, var, self.num_batches_tracked[row], found, self.momentum)
        return y

    def forward(self, input: Tensor, domain: int | Tensor) -> Tensor:
        try:
            return self._forward(input, domain)
        except ValueError as error:
            raise explained(self, error) from None

    def _forward(self, x: Tensor, domain: int | Tensor) -> Tensor:
        if isinstance(domain, int):
            domain = torch.full((1,), domain).expand(x.size(0))
        if domain.shape != (x.size(0),):
            raise ValueError(f"expected a domain, or one for each of {x.size(0)} samples, got {tuple(domain.shape)}")
        present = sorted(set(domain.tolist()))
        if present and not 0 <= present[0] <= present[-1] < self.num_domains:
            raise IndexError(f"domains {present} are not all in 0 .. {self.num_domains - 1}")
        if self.stats == "domain":
            if len(present) < 2:
                return self._of_domain(x, present[0] if present else 0)
            places = [(domain == d).nonzero().squeeze(1) for d in present]
            y = torch.cat([self._of_domain(x.index_select(0, at), d) for d, at in zip(present, places)])
            return y.index_select(0, torch.cat(places).argsort())
        if self.affine != "domain" or self.weight is None:
            return self._normalized(x, 0, *self._row(0))
        y = self._normalized(x, 0, None, None)
        shape = [*domain.shape, -1] + [1] * (x.dim() - 2)
        return y * self.weight[domain].reshape(shape) + self.bias[domain].reshape(shape)

    def _row(self, domain: int) -> tuple[Tensor | None, Tensor | None]:
        if self.weight is None:
            return None, None
        row = domain if self.affine == "domain" else 0
        return self.weight[row], self.bias[row]

    def _of_domain(self, x: Tensor, domain: int) -> Tensor:
        return self._normalized(x, domain, *self._row(domain))

    def extra_repr(self) -> str:
        return (f"{self.num_features}, {self.num_domains}, eps={self.eps}, momentum={self.momentum}, "
                f"stats={self.stats!r}, affine={self.affine!r}")


class ConditionalBatchNorm(DomainBatchNorm):
    """Batch norm with common statistics, a weight and bias for each label (de Vries et al. 2017): `norm(x, label)`."""

    def __init__(self, num_features: int, num_classes: int, eps: float = 1e-5, momentum: float | None = 0.1,
                 device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(num_features, num_classes, eps, momentum, stats="shared", device=device, dtype=dtype)
