"""The tensors that a Module owns: a Parameter is trained, a Buffer is only saved with the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import minitorch_bn as torch
from minitorch_bn._core import _disabled_torch_function_impl


class Parameter(torch.Tensor):
    """A leaf tensor that `Module.parameters()` lists when it is set as an attribute of a module.

    Args:
        data: the values; an empty float tensor when None. Memory is shared with it.
        requires_grad: whether gradients are wanted (default) or the parameter is frozen.
    """

    def __new__(cls, data: torch.Tensor | None = None, requires_grad: bool = True) -> Parameter:
        return torch.Tensor._make_subclass(cls, torch.empty(0) if data is None else data, requires_grad)

    def __init__(self, data: torch.Tensor | None = None, requires_grad: bool = True) -> None:
        """All is done by `__new__`."""

    __torch_function__ = _disabled_torch_function_impl

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) not in memo:  # the gradient stays behind
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + repr(self.data.requires_grad_(self.requires_grad))


def parameter_if(wanted: Any, shape: int | Sequence[int], device: Any, dtype: torch.dtype | None) -> Parameter | None:
    """A parameter of this shape, not yet filled, or the None that is registered in place of one."""
    return Parameter(torch.empty(shape, device=device, dtype=dtype)) if wanted else None


class Buffer(torch.Tensor):
    """A tensor that moves, and (when persistent) is saved, with its module, but is not trained."""

    persistent: bool

    def __new__(cls, data: torch.Tensor | None = None, *, persistent: bool = True) -> Buffer:
        data = torch.empty(0) if data is None else data
        return torch.Tensor._make_subclass(cls, data, data.requires_grad)

    def __init__(self, data: torch.Tensor | None = None, *, persistent: bool = True) -> None:
        self.persistent = persistent

    __torch_function__ = _disabled_torch_function_impl

    def __deepcopy__(self, memo: dict) -> Buffer:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), persistent=self.persistent)
        return memo[id(self)]


class UninitializedTensorMixin:
    """A tensor whose shape is not known yet; `materialize` gives it one and makes a usual tensor of it."""

    cls_to_become: type

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: torch.dtype | None = None) -> None:
        """Take `shape`, with unset values, in the dtype chosen before or in this one."""
        data: Any = self
        data.data = torch.empty(tuple(shape), device=device, dtype=data.dtype if dtype is None else dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> torch.Size:
        """RuntimeError: it has none yet."""
        raise RuntimeError("Can't access the shape of an uninitialized parameter or buffer. It gets one when the lazy "
                           "module that owns it is called for the first time; until then, `load_state_dict` cannot "
                           "load it into an initialized module either.")

    def share_memory_(self) -> Any:
        """Raises: there is no memory to share yet."""
        raise RuntimeError("Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize "
                           "the parameters before calling `module.share_memory()`.")

    def __deepcopy__(self, memo: dict) -> Any:
        if id(self) not in memo:
            memo[id(self)] = self.__reduce_ex__(2)[0](*self.__reduce_ex__(2)[1])
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple:
        tensor: Any = self
        return type(self), (tensor.requires_grad, None, tensor.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter of a lazy module that was not called yet."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None,
                dtype: torch.dtype | None = None) -> UninitializedParameter:
        return torch.Tensor._make_subclass(cls, torch.empty(0, device=device, dtype=dtype), requires_grad)

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: torch.dtype | None = None) -> None:
        """All is done by `__new__`."""


class UninitializedBuffer(UninitializedTensorMixin, Buffer):
    """A buffer of a lazy module that was not called yet."""

    cls_to_become = Buffer

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: torch.dtype | None = None,
                persistent: bool = True) -> UninitializedBuffer:
        return torch.Tensor._make_subclass(cls, torch.empty(0, device=device, dtype=dtype), requires_grad)

    def __init__(self, requires_grad: bool = False, device: Any = None, dtype: torch.dtype | None = None,
                 persistent: bool = True) -> None:
        self.persistent = persistent


def is_lazy(param: Any) -> bool:
    """Whether `param` is a parameter or buffer without a shape yet."""
    return isinstance(param, UninitializedTensorMixin)
