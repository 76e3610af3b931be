"""torch.storage: the memory of a tensor, as bytes (UntypedStorage) and as a flat sequence of numbers (TypedStorage)."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minitorch_bn import _core
from minitorch_bn._core import Storage as UntypedStorage
from minitorch_bn._core import Tensor

__all__ = ["TypedStorage", "UntypedStorage"]


class TypedStorage:
    """All the numbers in the memory that a tensor views, in one row; what is written here is seen in the tensor.

    ``TypedStorage(3)`` is new memory, ``TypedStorage([1, 2])`` holds these numbers, ``x.storage()`` is the memory of x.
    """

    dtype: _core.dtype = _core.DTYPES["float32"]
    is_cuda = is_sparse = False

    def __init__(self, data: Any = 0, *, dtype: _core.dtype | None = None) -> None:
        dtype = dtype or type(self).dtype
        if not isinstance(data, Tensor):
            data = _core.empty(data, dtype=dtype) if isinstance(data, int) else _core.tensor(data, dtype=dtype)
        base = data.untyped_storage()
        self.tensor = data.detach().as_strided((base.nbytes() // data.itemsize,), (1,), 0)
        self.dtype = data.dtype

    @property
    def device(self) -> _core.device:
        """The CPU."""
        return self.tensor.device

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return self.tensor.untyped_storage()

    def data_ptr(self) -> int:
        """The address of the first number."""
        return self.tensor.data_ptr()

    def nbytes(self) -> int:
        """The size in bytes."""
        return self.tensor.nbytes

    def size(self) -> int:
        """How many numbers there are."""
        return self.tensor.numel()

    __len__ = size

    def element_size(self) -> int:
        """The bytes of one number."""
        return self.tensor.itemsize

    def tolist(self) -> list[Any]:
        """The numbers."""
        return self.tensor.tolist()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        found = self.tensor[index]
        return type(self)(found.clone()) if isinstance(index, slice) else found.item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tensor[index] = value

    def fill_(self, value: Any) -> TypedStorage:
        """Write `value` everywhere."""
        self.tensor.fill_(value)
        return self

    def clone(self) -> TypedStorage:
        """A copy."""
        return type(self)(self.tensor.clone())

    def cpu(self) -> TypedStorage:
        """Itself."""
        return self

    def is_shared(self) -> bool:
        """False."""
        return False

    def __repr__(self) -> str:
        rows = "".join(f" {value}\n" for value in self.tolist())
        return f"{rows}[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size {len(self)}]"


KINDS = {"BFloat16": "bfloat16", "Bool": "bool", "Byte": "uint8", "Char": "int8", "Double": "float64",
         "Float": "float32", "Half": "float16", "Int": "int32", "Long": "int64", "Short": "int16"}
for _kind, _name in KINDS.items():
    globals()[f"{_kind}Storage"] = type(f"{_kind}Storage", (TypedStorage,), {
        "__doc__": f"A TypedStorage of torch.{_name}.", "dtype": _core.DTYPES[_name]})
Storage: type[TypedStorage] = globals()["FloatStorage"]
