"""Normalization layers: batch, instance, group, layer, RMS and local response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import minitorch_bn as torch
from minitorch_bn import ops

from . import functional as F
from . import init
from ._sizes import ntuple
from .module import Module
from .parameter import parameter_if


class _NormBase(Module):
    """What batch and instance norm share: per-channel weight, bias, running mean and variance, count of batches.

    Statistics come from the input in training (or always, without `track_running_stats`). `momentum` is the weight of
    the new value in the running one; None means the plain average of all batches.
    """

    _version = 2
    _input_dims: tuple[int, ...] = ()  # accepted numbers of axes; () for any
    _welcome_dims: tuple[int, ...] = ()  # those that need no check; none where a subclass has a check of its own
    _policy: Any = None  # a norms.policy.Policy, where one was chosen: see docs/batchnorm.md

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, device: Any = None, dtype: torch.dtype | None = None, *,
                 bias: bool = True) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats

        def new(make: Any, wanted: bool) -> torch.Tensor | None:
            return make(num_features, device=device, dtype=dtype) if wanted else None

        self.register_parameter("weight", parameter_if(affine, num_features, device, dtype))
        self.register_parameter("bias", parameter_if(affine and bias, num_features, device, dtype))
        self.register_buffer("running_mean", new(torch.zeros, track_running_stats))
        self.register_buffer("running_var", new(torch.ones, track_running_stats))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long) if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Running mean 0, variance 1, no batch seen."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and fresh running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "_check_input_dim" in vars(cls):
            cls._welcome_dims = ()
        elif "_input_dims" in vars(cls):
            cls._welcome_dims = cls._input_dims

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if self._input_dims and input.dim() not in self._input_dims:
            expected = " or ".join(f"{n}D" for n in self._input_dims)
            raise ValueError(f"expected {expected} input (got {input.dim()}D input)")

    def extra_repr(self) -> str:
        chosen = self._policy.chosen() if self._policy is not None else {}
        return (f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
                f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
                + "".join(f", {name}={value!r}" for name, value in chosen.items()))

    def _load_from_state_dict(self, state_dict: dict, prefix: str, local_metadata: dict, *rest: Any) -> None:
        key = prefix + "num_batches_tracked"
        if local_metadata.get("version", 1) < 2 and self.track_running_stats and key not in state_dict:
            own = self.num_batches_tracked  # files from before it was saved
            state_dict[key] = torch.tensor(0, dtype=torch.long) if own is None else own
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class _BatchNorm(_NormBase):
    """(x - mean) / sqrt(var + eps) * weight + bias per channel, over the batch (Ioffe & Szegedy 2015).

    Input (N, C, *size), C = num_features; the output has its shape. See `_NormBase` for the running statistics. The
    arguments by keyword are choices that PyTorch does not have; docs/batchnorm.md has a card for each.

    Args:
        axis: the axis of the channels.
        ghost: statistics of virtual batches of so many samples (Hoffer et al. 2017).
        renorm: an `nn.Renorm`: batch renormalization (Ioffe 2017).
        on_single: what training does with one value per channel: "error", by "running" statistics, or "identity".
        unbiased_running: whether the running variance takes m / (m - 1) times the batch's, as PyTorch's does.
        virtual_workers: cut the batch into so many shards and merge their statistics, as synchronized batch norm does.
        mask: (of a call) which positions (N, *size) count; the others are left out, and are zeros in the output.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, device: Any = None, dtype: torch.dtype | None = None, *,
                 bias: bool = True, axis: int = 1, ghost: int | None = None, renorm: Any = None,
                 on_single: str = "error", unbiased_running: bool = True, virtual_workers: int | None = None) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        if (axis, ghost, renorm, on_single, unbiased_running, virtual_workers) != (1, None, None, "error", True, None):
            from .norms.policy import set_policy  # few layers need it

            set_policy(self, axis=axis, ghost=ghost, renorm=renorm, on_single=on_single,
                       unbiased_running=unbiased_running, virtual_workers=virtual_workers)

    def forward(self, input: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if self._policy is not None or mask is not None:
            from .norms.policy import forward

            return forward(self, input, mask)
        if input.ndim not in self._welcome_dims:
            self._check_input_dim(input)
        mean, var, tracked = self.running_mean, self.running_var, self.num_batches_tracked
        if not self.training:
            return ops.batch_norm(input, mean, var, self.weight, self.bias, mean is None and var is None, 0.0, self.eps)
        if not self.track_running_stats:
            mean = var = tracked = None
        try:
            return ops.batch_norm(input, mean, var, self.weight, self.bias, True, self.momentum, self.eps, tracked)
        except ValueError as error:
            from .norms.policy import explained

            raise explained(self, error) from None


class BatchNorm1d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    _input_dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    _input_dims = (4,)


class BatchNorm3d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__
    _input_dims = (5,)


class SyncBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes. There is one process here, so it is batch norm of (N, C, *size).

    With `virtual_workers` the batch is cut into as many shards, whose counts, means and sums of squares are merged.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, process_group: Any = None, device: Any = None,
                 dtype: torch.dtype | None = None, *, bias: bool = True, **policies: Any) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias, **policies)
        self.process_group = process_group

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
        if input.size(1) == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """`module` with every batch norm in it (or itself, if it is one) as a SyncBatchNorm of the same tensors."""
        result = module
        if isinstance(module, _BatchNorm):
            result = SyncBatchNorm(module.num_features, module.eps, module.momentum, module.affine,
                                   module.track_running_stats, process_group, bias=module.bias is not None)
            result._parameters.update(module._parameters)
            result._buffers.update(module._buffers)
            result.training, result._policy = module.training, module._policy
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


class _InstanceNorm(_NormBase):
    """Batch norm of every sample for itself (Ulyanov et al. 2016): (N, C, *size), or (C, *size) without a batch."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
                 track_running_stats: bool = False, device: Any = None, dtype: torch.dtype | None = None, *,
                 bias: bool = True) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        self._check_input_dim(input)
        batched = input.dim() == self._input_dims[1]
        channels = input.size(1 if batched else 0)
        if channels != self.num_features:
            raise ValueError(f"expected input's size at dim={int(batched)} to match num_features "
                             f"({self.num_features}), but got: {channels}.")
        mean, var, by_input = self.running_mean, self.running_var, self.training or not self.track_running_stats
        if self._policy is not None:
            by_input = by_input and (mean is None or not self._policy.frozen)
            mean, var = (None, None) if by_input and self._policy.hold else (mean, var)
        output = F.instance_norm(input if batched else input.unsqueeze(0), mean, var, self.weight, self.bias, by_input,
                                 0.0 if self.momentum is None else self.momentum, self.eps)
        return output if batched else output.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    _input_dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    _input_dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    __doc__ = _InstanceNorm.__doc__
    _input_dims = (4, 5)


class _ShapedNorm(Module):
    """What layer and RMS norm share: they normalize over the last axes, of sizes `normalized_shape`."""

    def __init__(self, normalized_shape: int | Sequence[int], eps: Any, elementwise_affine: bool,
                 bias: bool | None, device: Any, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.normalized_shape = ntuple(normalized_shape, 1)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in ("weight", elementwise_affine), ("bias", elementwise_affine and bias):
            if name == "weight" or bias is not None:
                self.register_parameter(name, parameter_if(wanted, self.normalized_shape, device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if getattr(self, "bias", None) is not None:
            init.zeros_(self.bias)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LayerNorm(_ShapedNorm):
    """Mean 0 and variance 1 over the last axes, then weight and bias of their shape (Ba et al. 2016)."""

    def __init__(self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True, device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, bias, device, dtype)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bias={self.bias is not None}"


class RMSNorm(_ShapedNorm):
    """x / sqrt(mean(x**2) + eps) over the last axes, then weight (Zhang & Sennrich 2019)."""

    def __init__(self, normalized_shape: int | Sequence[int], eps: float | None = None,
                 elementwise_affine: bool = True, device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(normalized_shape, eps, elementwise_affine, None, device, dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """Mean 0 and variance 1 over each of `num_groups` groups of channels of each sample (Wu & He 2018)."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
                 dtype: torch.dtype | None = None, *, bias: bool = True) -> None:
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, wanted in ("weight", affine), ("bias", affine and bias):
            self.register_parameter(name, parameter_if(wanted, num_channels, device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
                f"bias={self.bias is not None}")


class LocalResponseNorm(Module):
    """x / (k + alpha * mean of x**2 over `size` neighboring channels)**beta (Krizhevsky et al. 2012)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(Module):
    """LocalResponseNorm of (N, C, H, W) with as many neighbors before a channel as after it, divided by `size`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        width = 2 * ((self.size - 1) // 2) + 1
        return F.local_response_norm(input, width, self.alpha * width / self.size, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
