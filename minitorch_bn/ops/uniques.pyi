"""Which values there are: unique, isin, bucketize; made of sorts and searches."""
from typing import Any, Literal, overload

from minitorch_bn._core import Tensor, _Number

def bucketize(input: Tensor | _Number, boundaries: Tensor, *, out_int32: bool = False, right: bool = False,
              out: Tensor | None = None) -> Tensor: ...
def isin(elements: Tensor | _Number, test_elements: Tensor | _Number, *, assume_unique: bool = False,
         invert: bool = False, out: Tensor | None = None) -> Tensor: ...
@overload
def unique(input: Tensor, sorted: bool = True, return_inverse: Literal[False] = False,
           return_counts: Literal[False] = False, dim: int | None = None) -> Tensor: ...
@overload
def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
           dim: int | None = None) -> Any: ...
@overload
def unique_consecutive(input: Tensor, return_inverse: Literal[False] = False, return_counts: Literal[False] = False,
                       dim: int | None = None) -> Tensor: ...
@overload
def unique_consecutive(input: Tensor, return_inverse: bool = False, return_counts: bool = False,
                       dim: int | None = None) -> Any: ...
