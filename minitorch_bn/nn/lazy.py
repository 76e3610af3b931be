"""Lazy layers: they take the number of input features or channels from the first input, then become usual ones."""

from __future__ import annotations

import itertools
from typing import Any

import minitorch_bn as torch

from . import conv, linear, norm
from .parameter import UninitializedBuffer, UninitializedParameter, is_lazy

Tensor = torch.Tensor


class LazyModuleMixin:
    """Put before a Module class among the bases: parameters may be `UninitializedParameter` until the first call.

    `initialize_parameters(*args)`, which the class defines, receives the first call's arguments and gives them their
    shapes; then the module becomes a `cls_to_become`, if that is set.
    """

    cls_to_become: type | None = None

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(_adopt_shapes, with_module=True)
        self._initialize_hook = self.register_forward_pre_hook(_initialize, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give every parameter its shape, from the arguments of the first call; for subclasses to define."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self: Any) -> bool:
        """Whether a parameter or buffer of this module has no shape yet."""
        return any(map(is_lazy, itertools.chain(self._parameters.values(), self._buffers.values())))

    def _save_to_state_dict(self: Any, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)  # type: ignore[misc]  # it is the Module's
        for name, tensor in self._own_tensors().items():
            if is_lazy(tensor):
                destination[prefix + name] = tensor  # as it is: a detached one would look initialized

    def _infer_parameters(self: Any, module: Any, args: tuple, kwargs: dict | None = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become


def _initialize(module: Any, args: tuple, kwargs: dict) -> None:
    """The forward pre-hook of lazy modules. (A function, so that a copied module does not initialize its original.)"""
    module._infer_parameters(module, args, kwargs)


def _adopt_shapes(module: Any, state_dict: dict, prefix: str, *rest: Any) -> None:
    """Before loading: parameters that have no shape yet take that of the value to be loaded."""
    for name, tensor in itertools.chain(module._parameters.items(), module._buffers.items()):
        value = state_dict.get(prefix + name)
        if is_lazy(tensor) and value is not None and not is_lazy(value):
            tensor.materialize(value.shape)


class _LazyWeights(LazyModuleMixin):
    """What lazy linear layers and convolutions share: weights that wait for the number of inputs, named `_inputs`."""

    _inputs: str

    def _make_lazy(self, bias: bool, device: Any, dtype: torch.dtype | None) -> None:
        for name in ("weight", "bias") if bias else ("weight",):
            setattr(self, name, UninitializedParameter(device=device, dtype=dtype))

    def reset_parameters(self: Any) -> None:
        """Draw the weights anew, once there are some."""
        if not self.has_uninitialized_params() and getattr(self, self._inputs) != 0:
            super().reset_parameters()  # type: ignore[misc]  # it is the layer's


class LazyLinear(_LazyWeights, linear.Linear):
    """A Linear whose `in_features` is the last size of the first input."""

    cls_to_become = linear.Linear
    _inputs = "in_features"
    weight: UninitializedParameter
    bias: UninitializedParameter

    def __init__(self, out_features: int, bias: bool = True, device: Any = None,
                 dtype: torch.dtype | None = None) -> None:
        super().__init__(0, 0, False)
        self.out_features = out_features
        self._make_lazy(bias, device, dtype)

    def initialize_parameters(self, input: Tensor) -> None:
        """Take `in_features` from the input."""
        if self.has_uninitialized_params():
            self.in_features = input.shape[-1]
            self.weight.materialize((self.out_features, self.in_features))
            if self.bias is not None:
                self.bias.materialize((self.out_features,))
            self.reset_parameters()
        elif self.in_features == 0:  # a state_dict brought the weight
            if input.shape[-1] != self.weight.shape[-1]:
                raise AssertionError(f"The in_features inferred from input: {input.shape[-1]} is not equal to "
                                     f"in_features from self.weight: {self.weight.shape[-1]}")
            self.in_features = input.shape[-1]


class _LazyConvXdMixin(_LazyWeights):
    """What the lazy convolutions add: channels from the first input."""

    _inputs = "in_channels"

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Take `in_channels` from the input."""
        layer: Any = self
        if layer.has_uninitialized_params():
            layer.in_channels = layer._get_in_channels(input)
            if layer.in_channels % layer.groups:
                raise ValueError("in_channels must be divisible by groups")
            first, second = ((layer.in_channels, layer.out_channels) if layer.transposed
                             else (layer.out_channels, layer.in_channels))
            layer.weight.materialize((first, second // layer.groups, *layer.kernel_size))
            if layer.bias is not None:
                layer.bias.materialize((layer.out_channels,))
            layer.reset_parameters()

    def _get_in_channels(self: Any, input: Tensor) -> int:
        n = self._get_num_spatial_dims()
        if input.dim() not in (n + 1, n + 2):
            raise RuntimeError(f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {type(self).__name__}, "
                               f"but got input of size: {input.shape}")
        return input.shape[-n - 1]

    def _get_num_spatial_dims(self: Any) -> int:
        return self._ndim


class _LazyConv(_LazyConvXdMixin, conv._Conv):
    """A convolution whose `in_channels` is that of the first input."""

    def __init__(self, out_channels: int, kernel_size: conv.Size, stride: conv.Size = 1,
                 padding: conv.Size | str = 0, dilation: conv.Size = 1, groups: int = 1, bias: bool = True,
                 padding_mode: str = "zeros", device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode, device, dtype)
        self.out_channels = out_channels
        self._make_lazy(bias, device, dtype)


class LazyConv1d(_LazyConv, conv.Conv1d):
    __doc__ = _LazyConv.__doc__
    cls_to_become = conv.Conv1d


class LazyConv2d(_LazyConv, conv.Conv2d):
    __doc__ = _LazyConv.__doc__
    cls_to_become = conv.Conv2d


class LazyConv3d(_LazyConv, conv.Conv3d):
    __doc__ = _LazyConv.__doc__
    cls_to_become = conv.Conv3d


class _LazyConvTranspose(_LazyConvXdMixin, conv._ConvTransposeNd):
    """A transposed convolution whose `in_channels` is that of the first input."""

    def __init__(self, out_channels: int, kernel_size: conv.Size, stride: conv.Size = 1, padding: conv.Size = 0,
                 output_padding: conv.Size = 0, groups: int = 1, bias: bool = True, dilation: int = 1,
                 padding_mode: str = "zeros", device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation, padding_mode,
                         device, dtype)
        self.out_channels = out_channels
        self._make_lazy(bias, device, dtype)


class LazyConvTranspose1d(_LazyConvTranspose, conv.ConvTranspose1d):
    __doc__ = _LazyConvTranspose.__doc__
    cls_to_become = conv.ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, conv.ConvTranspose2d):
    __doc__ = _LazyConvTranspose.__doc__
    cls_to_become = conv.ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, conv.ConvTranspose3d):
    __doc__ = _LazyConvTranspose.__doc__
    cls_to_become = conv.ConvTranspose3d


class _LazyNormBase(LazyModuleMixin, norm._NormBase):
    """Batch or instance norm whose `num_features` is the number of channels of the first input."""

    def __init__(self, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
                 track_running_stats: bool = True, device: Any = None, dtype: torch.dtype | None = None, *,
                 bias: bool = True, **policies: Any) -> None:
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=False, **policies)
        self.affine = affine
        self.track_running_stats = track_running_stats
        new: Any = {"device": device, "dtype": dtype}
        if self.affine:
            self.weight = UninitializedParameter(**new)
            if bias:
                self.bias = UninitializedParameter(**new)
        if self.track_running_stats:
            self.running_mean = UninitializedBuffer(**new)
            self.running_var = UninitializedBuffer(**new)
            self.num_batches_tracked = torch.tensor(0, dtype=torch.long)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor, mask: Tensor | None = None) -> None:
        """Take `num_features` from the input."""
        if self.has_uninitialized_params():
            self.num_features = input.shape[1 if self._policy is None else self._policy.axis]
            for tensor in itertools.chain(self._parameters.values(), self._buffers.values()):
                if is_lazy(tensor):
                    tensor.materialize((self.num_features,))
            self.reset_parameters()


class LazyBatchNorm1d(_LazyNormBase, norm._BatchNorm):
    __doc__ = _LazyNormBase.__doc__
    _input_dims = (2, 3)
    cls_to_become = norm.BatchNorm1d


class LazyBatchNorm2d(_LazyNormBase, norm._BatchNorm):
    __doc__ = _LazyNormBase.__doc__
    _input_dims = (4,)
    cls_to_become = norm.BatchNorm2d


class LazyBatchNorm3d(_LazyNormBase, norm._BatchNorm):
    __doc__ = _LazyNormBase.__doc__
    _input_dims = (5,)
    cls_to_become = norm.BatchNorm3d


class LazyInstanceNorm1d(_LazyNormBase, norm._InstanceNorm):
    __doc__ = _LazyNormBase.__doc__
    _input_dims = (2, 3)
    cls_to_become = norm.InstanceNorm1d


class LazyInstanceNorm2d(_LazyNormBase, norm._InstanceNorm):
    __doc__ = _LazyNormBase.__doc__
    _input_dims = (3, 4)
    cls_to_become = norm.InstanceNorm2d


class LazyInstanceNorm3d(_LazyNormBase, norm._InstanceNorm):
    __doc__ = _LazyNormBase.__doc__
    _input_dims = (4, 5)
    cls_to_become = norm.InstanceNorm3d
