"""Sums of products over named or chosen axes (einsum, tensordot, inner, ...), made of matmul, permute and sum."""
from __future__ import annotations

from minitorch_bn._core import Tensor
from minitorch_bn.ops.linalg import addbmm, addmm, addmv, addr, baddbmm, matmul

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

ELLIPSIS = "."  # stands for "..." in a parsed equation


def _parse(equation: str, operands: Sequence[Tensor]) -> tuple[list[list[Any]], list[Any]]:
    """The subscripts of each operand and of the result; dims of an ellipsis become numbers, counted from the right."""
    left, arrow, right = equation.replace(" ", "").replace("...", ELLIPSIS).partition("->")
    for at, letter in enumerate(equation):
        if letter not in " .,->" and not (letter.isascii() and letter.isalpha()):
            raise RuntimeError(f"einsum(): invalid subscript given at index {at} in the equation string, subscripts "
                               f"must be in [a-zA-Z]")
    terms = left.split(",")
    if len(terms) != len(operands):
        more = "more" if len(operands) > len(terms) else "fewer"
        raise RuntimeError(f"einsum(): {more} operands were provided than specified in the equation")
    labels: list[list[Any]] = []
    widest = 0
    for i, (term, operand) in enumerate(zip(terms, operands, strict=True)):
        named = len(term.replace(ELLIPSIS, ""))
        hidden = operand.ndim - named
        if "-" in term or ">" in term or term.count(ELLIPSIS) > 1:
            raise RuntimeError(f"einsum(): found '{term}' for operand {i}; letters and at most one '...' are expected")
        if hidden < 0 or (hidden > 0 and ELLIPSIS not in term):
            raise RuntimeError(f"einsum(): the number of subscripts in the equation ({named}) does not match the "
                               f"number of dimensions ({operand.ndim}) for operand {i}"
                               + ("" if ELLIPSIS in term else " and no ellipsis was given"))
        widest = max(widest, hidden if ELLIPSIS in term else 0)
        labels.append([x for c in term for x in (range(hidden - 1, -1, -1) if c == ELLIPSIS else (c,))])
    rest = list(range(widest - 1, -1, -1))
    if not arrow:
        used = [c for term in labels for c in term if isinstance(c, str)]
        return labels, rest + sorted(c for c in set(used) if used.count(c) == 1)
    result = [x for c in right for x in (rest if c == ELLIPSIS else (c,))]
    known = {c for term in labels for c in term}
    for c in result:
        if result.count(c) > 1:
            raise RuntimeError(f"einsum(): output subscript {c} appears more than once in the output")
        if c not in known:
            raise RuntimeError(f"einsum(): output subscript {c} does not appear in the equation for any input operand")
    return labels, result


def _diagonal(operand: Tensor, labels: list[Any], number: int) -> tuple[Tensor, list[Any]]:
    """The operand with each repeated subscript as one dim: its diagonal."""
    for c in list(dict.fromkeys(labels)):
        while labels.count(c) > 1:
            first = labels.index(c)
            second = labels.index(c, first + 1)
            if operand.shape[first] != operand.shape[second]:
                raise RuntimeError(f"einsum(): subscript {c} is repeated for operand {number} but the sizes don't "
                                   f"match, {operand.shape[second]} != {operand.shape[first]}")
            operand = operand.diagonal(0, first, second)  # moves the diagonal to the end
            labels = [x for i, x in enumerate(labels) if i not in (first, second)] + [c]
    return operand, labels


def _arranged(x: Tensor, labels: list[Any], order: list[Any]) -> Tensor:
    """x with a dim for each subscript in order; size 1 where it has none."""
    x = x.permute([labels.index(c) for c in order if c in labels])
    for i, c in enumerate(order):
        if c not in labels:
            x = x.unsqueeze(i)
    return x


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _contract(a: Tensor, la: list[Any], b: Tensor, lb: list[Any], keep: set[Any]) -> tuple[Tensor, list[Any]]:
    """The product of two operands, summed over the subscripts that are not in `keep`: a batched matrix product."""
    a, la = _sum_out(a, la, keep | set(lb))
    b, lb = _sum_out(b, lb, keep | set(la))
    shared = [c for c in la if c in lb]
    batch = [c for c in shared if c in keep]
    # A subscript of size 1 on one side broadcasts: it cannot be summed by the product before it is stretched.
    stretched = [c for c in shared if c not in keep and a.shape[la.index(c)] != b.shape[lb.index(c)]]
    summed = [c for c in shared if c not in keep and c not in stretched]
    a, la = _sum_stretched(a, la, stretched)
    b, lb = _sum_stretched(b, lb, stretched)
    rows, columns = [c for c in la if c not in lb], [c for c in lb if c not in la]
    a, b = _arranged(a, la, batch + rows + summed), _arranged(b, lb, batch + summed + columns)
    n = len(batch)
    row_sizes, column_sizes = list(a.shape[n:n + len(rows)]), list(b.shape[n + len(summed):])
    inner = _count(a.shape[n + len(rows):])
    y = matmul(a.reshape([*a.shape[:n], _count(row_sizes), inner]),
               b.reshape([*b.shape[:n], inner, _count(column_sizes)]))
    return y.reshape([*y.shape[:n], *row_sizes, *column_sizes]), batch + rows + columns


def _sum_out(x: Tensor, labels: list[Any], keep: set[Any]) -> tuple[Tensor, list[Any]]:
    gone = [i for i, c in enumerate(labels) if c not in keep]
    return (x.sum(gone), [c for c in labels if c in keep]) if gone else (x, labels)


def _sum_stretched(x: Tensor, labels: list[Any], stretched: list[Any]) -> tuple[Tensor, list[Any]]:
    """Sums over subscripts that have size 1 in the other operand, and drops them where they have size 1 themselves."""
    return _sum_out(x, labels, set(labels) - set(stretched)) if stretched else (x, labels)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sum of products of the operands along named dims: ``einsum("bij,bjk->bik", a, b)``. PyTorch's rules: "..."
    stands for broadcast dims, a subscript that the result lacks is summed over, and without "->" the result has the
    subscripts that appear once, in alphabetical order. Operands are contracted from left to right."""
    tensors = list(operands[0]) if len(operands) == 1 and isinstance(operands[0], list | tuple) else list(operands)
    if not tensors:
        raise ValueError("einsum(): must provide at least one operand")
    parsed, result = _parse(equation, tensors)
    terms = [_diagonal(x, labels, i) for i, (x, labels) in enumerate(zip(tensors, parsed, strict=True))]
    sizes: dict[Any, int] = {}
    for i, (x, labels) in enumerate(terms):
        for size, c in zip(x.shape, labels, strict=True):
            if sizes.setdefault(c, size) != size and size != 1:
                if sizes[c] != 1:
                    raise RuntimeError(f"einsum(): subscript {c} has size {size} for operand {i} which does not "
                                       f"broadcast with previously seen size {sizes[c]}")
                sizes[c] = size
    y, labels = terms[0]
    for i, (x, more) in enumerate(terms[1:], 1):
        keep = set(result).union(*(set(later) for _, later in terms[i + 1:]))
        y, labels = _contract(y, labels, x, more, keep)
    y, labels = _sum_out(y, labels, set(result))
    return y.permute([labels.index(c) for c in result])


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Sum of products over the last `dims` dims of a and the first of b, or over two lists of dims."""
    if isinstance(dims, int):
        if dims < 0 or dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims between 0 and {min(a.ndim, b.ndim)}, but got dims={dims}")
        first, second = list(range(-dims, 0)), list(range(dims))
    else:
        first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(first) != len(second):
        raise RuntimeError("both dimension lists should have same length")
    for i, j in zip(first, second, strict=True):
        if a.shape[i] == 1 != b.shape[j]:  # a size of 1 meets every size
            b = b.sum(j, keepdim=True)
        elif b.shape[j] == 1 != a.shape[i]:
            a = a.sum(i, keepdim=True)
        if a.shape[i] != b.shape[j]:
            raise RuntimeError(f"contracted dimensions need to match, but first has size {a.shape[i]} in dim {i} and "
                               f"second has size {b.shape[j]} in dim {j}")
    first, second = [i % a.ndim for i in first], [j % b.ndim for j in second]
    rows, columns = [i for i in range(a.ndim) if i not in first], [j for j in range(b.ndim) if j not in second]
    inner = _count([a.shape[i] for i in first])
    left, right = [a.shape[i] for i in rows], [b.shape[j] for j in columns]
    y = matmul(a.permute(rows + first).reshape([_count(left), inner]),
               b.permute(second + columns).reshape([inner, _count(right)]))
    y = y.reshape(left + right)
    return y if out is None else out.copy_(y)


def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sum of products over the last dim of both; a plain product if one of them has no dims."""
    if input.ndim == 0 or other.ndim == 0:
        y = input * other
    else:
        if input.shape[-1] != other.shape[-1]:
            raise RuntimeError(f"inner() the last dimension must match on both input tensors but got shapes "
                               f"{list(input.shape)} and {list(other.shape)}")
        y = tensordot(input, other, ([-1], [-1]))
    return y if out is None else out.copy_(y)


def kron(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The Kronecker product; missing leading dims have size 1."""
    n = max(input.ndim, other.ndim)
    a = input.reshape([1] * (n - input.ndim) + list(input.shape))
    b = other.reshape([1] * (n - other.ndim) + list(other.shape))
    y = a.reshape([s for size in a.shape for s in (size, 1)]) * b.reshape([s for size in b.shape for s in (1, size)])
    y = y.reshape([p * q for p, q in zip(a.shape, b.shape, strict=True)])
    return y if out is None else out.copy_(y)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., o] = input1[..., i] * weight[o, i, j] * input2[..., j], summed over i and j, plus bias[o]."""
    if input1.ndim != input2.ndim or input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(f"bilinear(): input batch dimensions do not match: got {list(input1.shape)} and "
                           f"{list(input2.shape)}")
    if weight.ndim != 3 or weight.shape[1] != input1.shape[-1] or weight.shape[2] != input2.shape[-1]:
        raise RuntimeError(f"bilinear(): weight of shape {list(weight.shape)} does not fit inputs with "
                           f"{input1.shape[-1]} and {input2.shape[-1]} features")
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias


FUNCTIONS = {"einsum": einsum, "tensordot": tensordot, "inner": inner, "kron": kron}
METHODS = {"inner": inner, "kron": kron}


def _written(function: Any) -> Any:
    """The in-place form of addmm and its like."""
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self.copy_(function(self, *args, **kwargs))
    method.__name__ = method.__qualname__ = f"{function.__name__}_"
    method.__doc__ = f"In-place version of :func:`{function.__name__}`."
    return method


METHODS |= {f"{f.__name__}_": _written(f) for f in (addmm, addmv, addbmm, baddbmm, addr)}
PRIMITIVES = {"bilinear": bilinear}
