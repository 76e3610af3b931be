"""Which values there are: unique, isin, bucketize; made of sorts and searches.

Imported when one of its names is first used.
"""
from minitorch_bn._core import DTYPES as _DTYPES
from minitorch_bn._core import Tensor, arange, as_tensor_, full, result_type, zeros
from minitorch_bn.ops.indexing import index_select
from minitorch_bn.ops.outs import with_out
from minitorch_bn.ops.sorting import argsort, searchsorted, sort


def bucketize(input, boundaries, *, out_int32=False, right=False, out=None):
    """The number of the bucket of each value, between sorted boundaries."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    if isinstance(input, Tensor) and input.dtype != boundaries.dtype:
        kind = result_type(input, boundaries)
        input, boundaries = input.to(kind), boundaries.to(kind)
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


@with_out
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each element is among the test elements."""
    kind = result_type(elements, test_elements)
    elements, pool = as_tensor_(elements, dtype=kind), as_tensor_(test_elements, dtype=kind)
    row = sort(pool.detach().reshape(-1))[0]
    found = searchsorted(row, elements, right=True) > searchsorted(row, elements)
    return ~found if invert else found


def _number_runs(starts, order, shape, inverse, counts, values):
    """starts: true where a new value begins in the sorted sequence; order: where each of its elements was."""
    group = starts.to(_DTYPES["int64"]).cumsum(0) - 1
    result = [values]
    if inverse:
        result.append(zeros(len(starts), dtype=group.dtype).scatter_add(0, order, group).reshape(shape))
    if counts:
        ones = full((len(starts),), 1, dtype=group.dtype)
        result.append(zeros(len(values), dtype=group.dtype).scatter_add(0, group, ones))
    return result[0] if len(result) == 1 else tuple(result)


def _differs(rows):
    """(n, m) -> (n,): whether a row differs from the one before; the first does."""
    first = full((len(rows),), True)
    if len(rows) > 1 and rows.shape[1]:
        first[1:] = (rows[1:] != rows[:-1]).any(1)
    else:
        first[1:] = False
    return first


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The different values in order; optionally where each element went, and how often each value was there."""
    x = input.detach()
    if dim is not None:
        return _slices(x, dim, return_inverse, return_counts, True)
    values, order = sort(x.reshape(-1), 0)
    starts = _differs(values.unsqueeze(1))
    return _number_runs(starts, order, x.shape, return_inverse, return_counts, values[starts])


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """As unique, but only neighbors are compared."""
    x = input.detach()
    if dim is not None:
        return _slices(x, dim, return_inverse, return_counts, False)
    flat = x.reshape(-1)
    starts = _differs(flat.unsqueeze(1))
    return _number_runs(starts, arange(flat.numel()), x.shape, return_inverse, return_counts, flat[starts])


def _slices(x, dim, inverse, counts, rearrange):
    """Different slices along dim, in lexicographic order (rearrange) or as they come."""
    moved = x.movedim(dim, 0)
    rows = moved.reshape(moved.shape[0], -1 if x.numel() else 0)
    order = arange(len(rows))
    if rearrange:
        for column in range(rows.shape[1] - 1, -1, -1):  # least significant column first; each sort is stable
            order = index_select(order, 0, argsort(index_select(rows[:, column], 0, order)))
        rows = index_select(rows, 0, order)
    starts = _differs(rows)
    values = index_select(index_select(moved, 0, order), 0, starts.nonzero(as_tuple=True)[0]).movedim(0, dim)
    result = _number_runs(starts, order, (len(rows),), inverse, counts, rows[starts])
    return (values, *result[1:]) if isinstance(result, tuple) else values
