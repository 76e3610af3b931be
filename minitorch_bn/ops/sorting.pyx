"""Sorting and order statistics: sort, topk, median, mode, searchsorted and their kin. Stable; NaN is the largest.

Values are fetched by gather at the indices found, so gradients of any order come from there.
"""
from minitorch_bn._core cimport (Tensor, dtype_object, index_arg, is_float, raw_cast, raw_contiguous, shape_tuple,
                                 tracks, wrap_dim)
from minitorch_bn.kernels cimport indexing as search_kernels
from minitorch_bn.kernels cimport sorting as kernels
from minitorch_bn.kernels.sorting cimport MTB_MEDIAN, MTB_MODE, MTB_NANMEDIAN
from minitorch_bn.kernels.runtime cimport MTB_bf16, MTB_f16, MTB_f32, MTB_i64, i64
from minitorch_bn.ops.indexing cimport new_of, split
from minitorch_bn.ops.reduce cimport pick

from minitorch_bn._core import named, result_type
from minitorch_bn.ops.extremes import result_type_of
from minitorch_bn.ops.gathering import gather

sort_result, topk_result, kthvalue_result, median_result, nanmedian_result, mode_result = [
    result_type_of(name, ["values", "indices"]) for name in ("sort", "topk", "kthvalue", "median", "nanmedian", "mode")]


cdef Tensor comparable(Tensor x):
    """Contiguous, in a dtype that has a kernel."""
    return raw_contiguous(raw_cast(x, MTB_f32 if x.dtype == MTB_f16 or x.dtype == MTB_bf16 else x.dtype))


cdef tuple ordered(Tensor input, object dim, i64 k, int descending):
    """(values, indices) of a sort along dim, or of its first k >= 0, or (MTB_MODE, k = 1) of the mode."""
    cdef int d = wrap_dim(dim, input.ndim)
    cdef Tensor x = comparable(input.reshape(1) if input.ndim == 0 else input), y, at
    cdef i64 outer, n, inner
    cdef tuple shape = shape_tuple(x)
    split(x, d, &outer, &n, &inner)
    if k >= 0:
        shape = shape[:d] + (k,) + shape[d + 1:]
    y, at = new_of(shape, x.dtype, False), new_of(shape, MTB_i64, False)
    if k < 0:
        kernels.sort(x.dtype, y.data, <i64*> at.data, x.data, outer, n, inner, descending)
    else:
        kernels.top(x.dtype, y.data, <i64*> at.data, x.data, outer, n, inner, k, descending)
    if input.ndim == 0:
        y, at = y.reshape(shape[1:] if k == 0 else ()), at.reshape(shape[1:] if k == 0 else ())
    return (gather(input, d, at) if is_float(input.dtype) and tracks(input) else raw_cast(y, input.dtype)), at


cdef object answer(object result, tuple pair, int form=0):
    """The named pair; to the user its values come from the sort, not from a gather."""
    named(pair[0], f"{result.__name__.capitalize()}Backward{form}")
    return result(*pair)


cdef object given(object out, object result):
    """The result, or `out`, a pair of tensors, after it was copied there."""
    if out is None:
        return result
    for target, source in zip(out, result):
        target.resize_(source.shape).copy_(source)
    return result.__class__(*out)


def sort(Tensor input not None, dim=-1, descending=False, stable=False, *, out=None, axis=None):
    """(values, indices) sorted along dim. Always stable: equal elements keep their order."""
    dim = pick(dim, axis)
    return given(out, answer(sort_result, ordered(input, dim, -1, bool(descending))))


def argsort(Tensor input not None, dim=-1, descending=False, stable=False, *, axis=None):
    """The indices that sort the input along dim."""
    dim = pick(dim, axis)
    return ordered(input.detach(), dim, -1, bool(descending))[1]


def msort(Tensor input not None):
    """The values sorted along the first dim."""
    return ordered(input, 0, -1, False)[0]


def topk(Tensor input not None, k, dim=-1, largest=True, sorted=True, *, out=None, axis=None):
    """(values, indices) of the k largest (or smallest) elements along dim, in order."""
    dim = pick(dim, axis)
    cdef i64 count = index_arg(k, "k")
    cdef int d = wrap_dim(dim, input.ndim)
    if count < 0 or count > (input.shape[d] if input.ndim else 1):
        raise RuntimeError(f"selected index k out of range: topk of k={count} along dim {d} of shape "
                           f"{list(shape_tuple(input))}")
    return given(out, answer(topk_result, ordered(input, d, count, bool(largest))))


def kthvalue(Tensor input not None, k, dim=-1, keepdim=False, *, axis=None):
    """(value, index) of the k-th smallest element along dim, counted from 1."""
    dim = pick(dim, axis)
    cdef i64 count = index_arg(k, "k")
    cdef int d = wrap_dim(dim, input.ndim)
    if count < 1 or count > (input.shape[d] if input.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}: k={count} of shape "
                           f"{list(shape_tuple(input))}")
    if count <= 4 < input.shape[d] and input.ndim:   # so few are found in one pass
        return answer(kthvalue_result, last_of(input, d, ordered(input.detach(), d, count, False)[1],
                                               bool(keepdim)))
    return answer(kthvalue_result, nth_of(input, d, count - 1, bool(keepdim)))


cdef tuple last_of(Tensor input, int d, Tensor at, bint keepdim):
    """(value, index) at the last of the indices along d."""
    if input.ndim == 0:
        return input.clone(), at.reshape(())
    at = at.narrow(d, at.shape[d] - 1, 1)
    y = gather(input, d, at)
    return (y, at.clone()) if keepdim else (y.squeeze(d), at.squeeze(d).clone())


cdef tuple nth_of(Tensor input, int d, i64 k, bint keepdim):
    """(value, index) of the k-th smallest along d, or of a median; d is not empty."""
    cdef Tensor x, y, at
    cdef i64 outer, n, inner
    cdef tuple shape = shape_tuple(input)
    if input.ndim == 0:
        return last_of(input, 0, new_of((), MTB_i64, True), keepdim)
    x = comparable(input)
    split(x, d, &outer, &n, &inner)
    shape = shape[:d] + ((1,) if keepdim else ()) + shape[d + 1:]
    y, at = new_of(shape, x.dtype, False), new_of(shape, MTB_i64, False)
    kernels.nth(x.dtype, y.data, <i64*> at.data, x.data, outer, n, inner, k)
    if is_float(input.dtype) and tracks(input):
        y = gather(input, d, at if keepdim else at.unsqueeze(d))
        return (y if keepdim else y.squeeze(d)), at
    return raw_cast(y, input.dtype), at


def median(Tensor input not None, dim=None, keepdim=False, *, axis=None):
    """The lower median: of all elements, or (values, indices) along dim. A NaN among them is the result."""
    dim = pick(dim, axis)
    return _median(input, dim, keepdim, False, median_result)


def nanmedian(Tensor input not None, dim=None, keepdim=False, *, axis=None):
    """The lower median of the elements that are not NaN."""
    dim = pick(dim, axis)
    return _median(input, dim, keepdim, True, nanmedian_result)


def _median(Tensor input, dim, keepdim, bint skip_nan, result):
    cdef int d
    if dim is None:
        if input.numel == 0:
            raise RuntimeError("median() operation does not have an identity: the input is empty")
        pair = _median(input.reshape(-1), 0, False, skip_nan, result)
        return answer(result, tuple(pair))[0]
    d = wrap_dim(dim, input.ndim)
    if input.ndim == 0:
        return result(*last_of(input, 0, new_of((), MTB_i64, True), keepdim))
    if input.shape[d] == 0:
        raise IndexError(f"median(): Expected reduction dim {d} to have non-zero size.")
    return answer(result, nth_of(input, d, MTB_NANMEDIAN if skip_nan else MTB_MEDIAN, keepdim), 1)


def mode(Tensor input not None, dim=-1, keepdim=False, *, axis=None):
    """(values, indices): the most frequent value along dim, the smallest of several; the index is its last place."""
    dim = pick(dim, axis)
    cdef int d = wrap_dim(dim, input.ndim)
    if input.ndim == 0:
        return mode_result(*last_of(input, 0, new_of((), MTB_i64, True), keepdim))
    if input.shape[d] == 0:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    return answer(mode_result, last_of(input, d, ordered(input.detach(), d, 1, MTB_MODE)[1], keepdim))


# -- searching ---------------------------------------------------------------------------------------------------------

cdef Tensor search_in(Tensor row, Tensor values, Tensor sorter, bint right):
    """The places of `values` in sorted rows; a single row serves all."""
    cdef Tensor r = comparable(row), v = comparable(values), at = new_of(shape_tuple(values), MTB_i64, False)
    cdef Tensor order = None if sorter is None else raw_contiguous(sorter)
    cdef bint one_row = row.ndim == 1
    cdef i64 n = row.shape[row.ndim - 1], m = values.numel, rows = 1
    if not one_row:
        m = values.shape[values.ndim - 1]
        rows = values.numel // m if m else 0
    search_kernels.searchsorted(v.dtype, <i64*> at.data, v.data, rows, m, r.data, n,
                                <i64*> order.data if order is not None else NULL, one_row, right)
    return at


def searchsorted(Tensor sorted_sequence not None, input, *, out_int32=False, right=False, side=None, sorter=None,
                 out=None):
    """Where to insert the values to keep the last dim sorted: before equal elements, or after them (`right`)."""
    cdef Tensor values, at
    if side is not None:
        if side not in ("left", "right"):
            raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
        if right and side == "left":
            raise RuntimeError("torch.searchsorted(): side and right can't be set to opposites, got side of left "
                               "while right was True")
        right = side == "right"
    single = not isinstance(input, Tensor)
    if single:
        plain = not isinstance(input, float) or is_float(sorted_sequence.dtype)
        input = new_of((), sorted_sequence.dtype if plain else MTB_f32, False).fill_(input)
    kind = result_type(sorted_sequence, input) if single else dtype_object((<Tensor> input).dtype)
    values = input
    if values.dtype != sorted_sequence.dtype:
        if not single:
            raise RuntimeError("torch.searchsorted(): boundary tensor and input value tensor should have same dtype, "
                               "but got "
                               f"boundary tensor dtype {dtype_object(sorted_sequence.dtype)} and input value tensor "
                               f"dtype {kind}")
        sorted_sequence = sorted_sequence.to(kind)
        values = values.to(kind)
    if sorted_sequence.ndim == 0:
        raise RuntimeError("torch.searchsorted(): boundary tensor should have positive dimension, but got 0 dimension")
    if sorted_sequence.ndim > 1 and (values.ndim != sorted_sequence.ndim
                                     or shape_tuple(values)[:-1] != shape_tuple(sorted_sequence)[:-1]):
        raise RuntimeError("torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
                           "dimensions of boundaries "
                           f"tensor and input value tensor must match, but we got boundaries tensor "
                           f"{list(shape_tuple(sorted_sequence))} and input value tensor {list(shape_tuple(values))}")
    if sorter is not None:
        if (<Tensor> sorter).dtype != MTB_i64 or shape_tuple(sorter) != shape_tuple(sorted_sequence):
            raise RuntimeError("torch.searchsorted(): sorter must be int64 and of the shape of the boundaries")
        if search_kernels.check_index(<i64*> raw_contiguous(sorter).data, (<Tensor> sorter).numel, 0,
                                      sorted_sequence.shape[sorted_sequence.ndim - 1]) >= 0:
            raise RuntimeError("torch.searchsorted(): sorter index out of range")
    at = search_in(sorted_sequence, values, sorter, bool(right))
    if out_int32:
        at = at.int()
    return at if out is None else out.resize_(shape_tuple(at)).copy_(at)


_both = (sort, argsort, msort, topk, kthvalue, median, nanmedian, mode)
METHODS = {f.__name__: f for f in _both}
FUNCTIONS = METHODS | {"searchsorted": searchsorted}
