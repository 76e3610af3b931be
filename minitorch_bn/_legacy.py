"""Tensor types by their old names: torch.FloatTensor and its like construct tensors and answer isinstance."""
from __future__ import annotations

import warnings
from mmap import mmap
from typing import Any
from weakref import WeakValueDictionary

import minitorch_bn as torch
from minitorch_bn import storage as storages
from minitorch_bn._core import Size, Tensor


def construct(dtype: torch.dtype, args: tuple[Any, ...], device: Any = None) -> Tensor:
    """The old forms of a constructor: (), (2, 3), (Size), ([1, 2]), (tensor of that dtype)."""
    if len(args) != 1 or isinstance(args[0], (int, Size)):
        return torch.empty(*(args[0] if args and isinstance(args[0], Size) else args or (0,)), dtype=dtype,
                           device=device)
    data = args[0]
    if isinstance(data, Tensor):
        if data.dtype != dtype:
            raise TypeError(f"expected a tensor of {dtype}, got one of {data.dtype}: convert it with .to({dtype})")
        return data.detach()
    if isinstance(data, storages.TypedStorage):
        return data.tensor
    if isinstance(data, (float, str)) or data is None:
        raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
    return torch.tensor(data, dtype=dtype, device=device)


class _TensorType(type):
    """The class of torch.FloatTensor and its like: an instance is a Tensor of their dtype."""

    dtype: torch.dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype == cls.dtype

    def __call__(cls, *args: Any, device: Any = None) -> Any:
        return construct(cls.dtype, args, device)

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


class _CudaType(type):
    """The class of torch.cuda.FloatTensor and its like: nothing is an instance, and none can be made."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return False

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"type torch.cuda.{cls.__name__} is not there: no CUDA device")

    def __repr__(cls) -> str:
        return f"<class 'torch.cuda.{cls.__name__}'>"


TYPES = {f"{kind}Tensor": _TensorType(f"{kind}Tensor", (), {
    "__doc__": f"Tensors of torch.{name}, by their old name.", "__module__": "torch", "dtype": torch._core.DTYPES[name],
    "is_cuda": False, "layout": torch.strided}) for kind, name in storages.KINDS.items()}
globals().update(TYPES)


def cuda_types() -> dict[str, Any]:
    """torch.cuda.FloatTensor and its like, by name."""
    if not _CUDA:
        _CUDA.update({name: _CudaType(name, (), {"__doc__": "There is no CUDA device.", "__module__": "torch.cuda",
                                                 "is_cuda": True}) for name in TYPES})
    return _CUDA


_CUDA: dict[str, Any] = {}


def typename(obj: Any, /) -> str:
    """The name of a tensor's old type ("torch.FloatTensor"), else of the class with its module."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    if isinstance(obj, (_TensorType, _CudaType)):
        return repr(obj)[8:-2]
    kind = obj if isinstance(obj, type) else type(obj)
    module = kind.__module__.replace("minitorch_bn", "torch", 1)
    return kind.__qualname__ if module in ("builtins", "__builtin__") else f"{module}.{kind.__qualname__}"


def new(self: Tensor, *args: Any, device: Any = None) -> Tensor:
    """A tensor of this one's dtype by the old forms: x.new(), x.new(2, 3), x.new([1, 2])."""
    return construct(self.dtype, args, device)


_shared: WeakValueDictionary[int, mmap] = WeakValueDictionary()  # the shared blocks in use, by their address


def share_memory_(self: Tensor) -> Tensor:
    """Move the numbers to memory that forked processes share with this one: what one writes, all see."""
    if self.numel() and not is_shared(self):
        block = mmap(-1, self.nbytes)
        home = torch.frombuffer(block, dtype=self.dtype).view(self.shape)
        home.copy_(self.detach())
        self.data = home
        _shared[home.data_ptr()] = block
    return self


def is_shared(self: Tensor) -> bool:
    """Whether forked processes see what is written here: after share_memory_()."""
    return self.untyped_storage().data_ptr() in _shared


def storage(self: Tensor) -> storages.TypedStorage:
    """The memory that this tensor views, as a flat sequence of numbers."""
    return storages.TypedStorage(self)


def storage_type(self: Tensor) -> type:
    """The TypedStorage of this tensor's dtype."""
    return next(getattr(storages, f"{kind}Storage") for kind, name in storages.KINDS.items()
                if name == self.dtype.name)


def resize(self: Tensor, *sizes: Any) -> Tensor:
    """The same elements in another shape: reshape, by its old name."""
    warnings.warn("non-inplace resize is deprecated: use reshape", stacklevel=3)
    return self.reshape(*sizes)


def resize_as(self: Tensor, tensor: Tensor) -> Tensor:
    """The same elements in the shape of `tensor`: reshape_as, by its old name."""
    return resize(self, tensor.shape)


def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: Any = None) -> Tensor:
    """This tensor, which is dense, as `dtype` if that is given."""
    return self if dtype is None else self.to(dtype)
