"""Sums of products over named or chosen axes (einsum, tensordot, inner, ...), made of matmul, permute and sum."""
from __future__ import annotations

from minitorch_bn._core import Tensor
from minitorch_bn.ops.linalg import addbmm, addmm, addmv, addr, baddbmm, matmul

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

ELLIPSIS = "."  # stands for "..." in a parsed equation
SHORT = 4096  # terms: a sum of fewer, one for each index of a batch, is that of an element-wise product
_PLANS: dict[Any, Any] = {}  # of the last equations


def _parse(equation: str, ndims: list[int]) -> tuple[list[list[Any]], list[Any]]:
    """The subscripts of each operand and of the result; dims of an ellipsis become numbers, counted from the right."""
    left, arrow, right = equation.replace(" ", "").replace("...", ELLIPSIS).partition("->")
    for at, letter in enumerate(equation):
        if letter not in " .,->" and not (letter.isascii() and letter.isalpha()):
            raise RuntimeError(f"einsum(): invalid subscript given at index {at} in the equation string, subscripts "
                               f"must be in [a-zA-Z]")
    terms = left.split(",")
    if len(terms) != len(ndims):
        more = "more" if len(ndims) > len(terms) else "fewer"
        raise RuntimeError(f"einsum(): {more} operands were provided than specified in the equation")
    labels: list[list[Any]] = []
    widest = 0
    for i, (term, ndim) in enumerate(zip(terms, ndims, strict=True)):
        named = len(term.replace(ELLIPSIS, ""))
        hidden = ndim - named
        if "-" in term or ">" in term or term.count(ELLIPSIS) > 1:
            raise RuntimeError(f"einsum(): found '{term}' for operand {i}; letters and at most one '...' are expected")
        if hidden < 0 or (hidden > 0 and ELLIPSIS not in term):
            raise RuntimeError(f"einsum(): the number of subscripts in the equation ({named}) does not match the "
                               f"number of dimensions ({ndim}) for operand {i}"
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


def _count(shape: Sequence[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


class _Term:
    """An operand while a contraction is planned: its size under each subscript, and the calls that bring it there."""

    def __init__(self, labels: list[Any], shape: Sequence[int]) -> None:
        self.labels, self.shape, self.calls = labels, list(shape), []  # type: ignore[var-annotated]

    def take_diagonals(self, number: int) -> None:
        """Each repeated subscript becomes one dim: its diagonal."""
        for c in list(dict.fromkeys(self.labels)):
            while self.labels.count(c) > 1:
                first = self.labels.index(c)
                second = self.labels.index(c, first + 1)
                size = self.shape[first]
                if size != self.shape[second]:
                    raise RuntimeError(f"einsum(): subscript {c} is repeated for operand {number} but the sizes don't "
                                       f"match, {self.shape[second]} != {size}")
                self.calls.append((Tensor.diagonal, (0, first, second)))  # moves the diagonal to the end
                self.labels = [x for i, x in enumerate(self.labels) if i not in (first, second)] + [c]
                self.shape = [x for i, x in enumerate(self.shape) if i not in (first, second)] + [size]

    def sum_out(self, keep: Any) -> None:
        gone = [i for i, c in enumerate(self.labels) if c not in keep]
        if gone:
            self.calls.append((Tensor.sum, (gone,)))
            self.shape = [x for i, x in enumerate(self.shape) if i not in gone]
            self.labels = [c for c in self.labels if c in keep]

    def arrange(self, order: list[Any]) -> None:
        axes = [self.labels.index(c) for c in order]
        if axes != sorted(axes):
            self.calls.append((Tensor.permute, (axes,)))
        self.labels, self.shape = order, [self.shape[i] for i in axes]

    def reshape(self, shape: list[int]) -> None:
        if shape != self.shape:
            self.calls.append((Tensor.reshape, (shape,)))


def _dots(a: Tensor, b: Tensor) -> Tensor:
    """Sums of products along the last dim."""
    if a.dtype == b.dtype and a.is_floating_point() and a.element_size() >= 4:
        return (a * b).sum(-1)
    return matmul(a.unsqueeze(-2), b.unsqueeze(-1)).squeeze(-1).squeeze(-1)  # exact products, or the dtype of integers


def _contract(a: _Term, b: _Term, keep: set[Any]) -> tuple[list[Any], list[Any], Any, _Term]:
    """The product of two operands, summed over the subscripts that are not in `keep`: a batched matrix product, or an
    element-wise one where no sum or no matrix is left. The calls for each, what to do with both, and the result."""
    a.sum_out(keep | set(b.labels))
    b.sum_out(keep | set(a.labels))
    shared = [c for c in a.labels if c in b.labels]
    batch = [c for c in shared if c in keep]
    sizes = dict(zip(a.labels, a.shape, strict=True)), dict(zip(b.labels, b.shape, strict=True))
    # A subscript of size 1 on one side broadcasts: it cannot be summed by the product before it is stretched.
    stretched = {c for c in shared if c not in keep and sizes[0][c] != sizes[1][c]}
    summed = [c for c in shared if c not in keep and c not in stretched]
    a.sum_out(set(a.labels) - stretched)
    b.sum_out(set(b.labels) - stretched)
    rows, columns = [c for c in a.labels if c not in b.labels], [c for c in b.labels if c not in a.labels]
    a.arrange(batch + rows + summed)
    b.arrange(batch + summed + columns)
    n = len(batch)
    both = [max(x, y) if x and y else 0 for x, y in zip(a.shape[:n], b.shape[:n], strict=True)]
    y = _Term(batch + rows + columns, both + a.shape[n:n + len(rows)] + b.shape[n + len(summed):])
    inner, across = _count(a.shape[n + len(rows):]), _count(b.shape[n + len(summed):])
    down = _count(a.shape[n:n + len(rows)])
    if not summed:
        a.reshape(a.shape + [1] * len(columns))
        b.reshape(b.shape[:n] + [1] * len(rows) + b.shape[n:])
        return a.calls, b.calls, Tensor.mul, y
    if down == across == 1 < _count(both) and inner <= SHORT:
        a.reshape(a.shape[:n] + [1] * len(rows + columns) + [inner])
        b.reshape(b.shape[:n] + [1] * len(rows + columns) + [inner])
        return a.calls, b.calls, _dots, y
    a.reshape([*a.shape[:n], down, inner])
    b.reshape([*b.shape[:n], inner, across])
    if [*both, down, across] != y.shape:
        y.calls.append((Tensor.reshape, (y.shape,)))
    return a.calls, b.calls, matmul, y


def _plan(equation: str, shapes: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """What einsum does for operands of these shapes: for each but the first, the calls for what is there so far and for
    the operand, and how the two are joined; then the last calls."""
    parsed, result = _parse(equation, [len(shape) for shape in shapes])
    terms = [_Term(labels, shape) for labels, shape in zip(parsed, shapes, strict=True)]
    sizes: dict[Any, int] = {}
    for i, term in enumerate(terms):
        term.take_diagonals(i)
        for size, c in zip(term.shape, term.labels, strict=True):
            if sizes.setdefault(c, size) != size and size != 1:
                if sizes[c] != 1:
                    raise RuntimeError(f"einsum(): subscript {c} has size {size} for operand {i} which does not "
                                       f"broadcast with previously seen size {sizes[c]}")
                sizes[c] = size
    y, steps = terms[0], []
    for i, term in enumerate(terms[1:], 1):
        *step, y = _contract(y, term, set(result).union(*(later.labels for later in terms[i + 1:])))
        steps.append(step)
    y.sum_out(result)
    y.arrange(result)
    return steps, y.calls


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sum of products of the operands along named dims: ``einsum("bij,bjk->bik", a, b)``. PyTorch's rules: "..."
    stands for broadcast dims, a subscript that the result lacks is summed over, and without "->" the result has the
    subscripts that appear once, in alphabetical order. Operands are contracted from left to right."""
    tensors = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    if not tensors:
        raise ValueError("einsum(): must provide at least one operand")
    key = equation, tuple([x.shape for x in tensors])
    plan = _PLANS.get(key)
    if plan is None:
        if len(_PLANS) >= 256:
            _PLANS.clear()
        plan = _PLANS[key] = _plan(*key)
    steps, last = plan
    y = tensors[0]
    for (before, aside, join), x in zip(steps, tensors[1:], strict=True):
        for call, arguments in before:
            y = call(y, *arguments)
        for call, arguments in aside:
            x = call(x, *arguments)
        y = join(y, x)
    for call, arguments in last:
        y = call(y, *arguments)
    return y if y is not tensors[0] else y.view(y.shape)


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
