"""torch.fft as far as it is real: transforms of real tensors with a real result, frequencies, shifts.

There are no complex dtypes, so what has a complex result (fft, rfft, ihfft, ...) is an error. The inverse transforms of
a half spectrum (irfft, hfft and their kin) take a real tensor, as in PyTorch, for a spectrum without imaginary part.
NumPy computes; gradients of every order are exact.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minitorch_bn._arguments import explain
from minitorch_bn._core import Tensor, arange, attach, from_numpy, get_default_dtype
from minitorch_bn.ops import cat, pad, roll, stack

__all__ = ["fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn",
           "ifftshift", "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn"]


def _cosines(x: Tensor, sizes: Sequence[int], lengths: Sequence[int]) -> Tensor:
    """y[j] = sum over k of x[k] cos(2 pi (j_1 k_1 / sizes_1 + j_2 k_2 / sizes_2 + ...)), over the last len(sizes) dims
    of x, for the first `lengths` places j in each. Its adjoint is the same with as many places as x has."""
    rank = len(sizes)
    axes = tuple(range(x.ndim - rank, x.ndim))
    cut: Any = (..., *(slice(0, n) for n in lengths))
    with np.errstate(all="ignore"):
        values = np.fft.fftn(x.detach().numpy(), tuple(sizes), axes).real[cut]
    y = from_numpy(np.ascontiguousarray(values)).to(x.dtype)
    before = list(x.shape[x.ndim - rank:])
    return attach(y, (x,), lambda g: (_cosines(g, sizes, before),), "FftC2RBackward0")


def _fitted(x: Tensor, d: int, n: int) -> Tensor:
    """x cut or filled with zeros to n places along d."""
    if x.shape[d] >= n:
        return x.narrow(d, 0, n)
    zeros = list(x.shape)
    zeros[d] = n - x.shape[d]
    return cat([x, x.new_zeros(zeros)], d)


def _scale(norm: str | None, count: int, inverse: bool) -> float:
    """The factor that `norm` asks for; by default all of 1/n is on the inverse transform."""
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if inverse == (norm != "forward") else 1.0


def _real(input: Tensor) -> Tensor:
    if not input.is_floating_point():
        return input.to(get_default_dtype())
    if input.dtype.itemsize < 4:
        raise RuntimeError(f"Unsupported dtype {'Half' if input.dtype.name == 'float16' else 'BFloat16'}")
    return input


def _wrap(dim: int, ndim: int) -> int:
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise IndexError(f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, {max(ndim, 1) - 1}], "
                         f"but got {dim})")
    return dim % max(ndim, 1)


def _dims_and_sizes(x: Tensor, s: Any, dim: Any, half: bool) -> tuple[list[int], list[int]]:
    """The dims to transform and the sizes of the result in them; the last size is doubled if `half`."""
    s = [s] if isinstance(s, int) else None if s is None else list(s)
    if dim is None:
        if s is not None and len(s) > x.ndim:
            raise RuntimeError(f"Got shape with {len(s)} values but input tensor only has {x.ndim} dimensions.")
        dims = list(range(x.ndim)) if s is None else list(range(x.ndim - len(s), x.ndim))
    else:
        dims = [_wrap(d, x.ndim) for d in ([dim] if isinstance(dim, int) else dim)]
        if dims and x.ndim == 0:
            raise IndexError("Dimension specified as 0 but tensor has no dimensions")
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if s is not None and len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    sizes = [-1] * len(dims) if s is None else s
    last = len(dims) - 1
    sizes = [n if n != -1 else 2 * (x.shape[d] - 1) if half and i == last else x.shape[d]
             for i, (d, n) in enumerate(zip(dims, sizes))]
    return dims, sizes


def _half_spectrum(input: Tensor, s: Any, dim: Any, norm: str | None, inverse: bool, out: Tensor | None,
                   name: str) -> Tensor:
    """The real signal of a spectrum that is half given in the last dim: element k stands for k and -k there."""
    x = _real(input)
    dims, sizes = _dims_and_sizes(x, s, dim, True)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    for n in sizes:
        if n < 1:
            raise RuntimeError(f"Invalid number of data points ({n}) specified")
    factor = _scale(norm, math.prod(sizes), inverse)
    n = sizes[-1]
    given = [*sizes[:-1], n // 2 + 1]
    for place, size in zip(dims, given):
        x = _fitted(x, place, size)
    x = x.movedim(dims, list(range(x.ndim - len(dims), x.ndim)))
    twice = arange(n // 2 + 1)
    weights = ((twice != 0) & (2 * twice != n)).to(x.dtype) + 1
    y = _cosines(x * (weights * factor), sizes, sizes).movedim(list(range(x.ndim - len(dims), x.ndim)), dims)
    if out is None:
        return y
    if out.shape != y.shape:
        out.resize_(y.shape)
    return out.copy_(y)


def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:
    """The real signal of n places (2 (m - 1)) along dim whose spectrum starts with the m elements of input."""
    return _half_spectrum(input, _one(n), _one(dim), norm, True, out, "irfft")


def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
         out: Tensor | None = None) -> Tensor:
    """The real spectrum of n places (2 (m - 1)) along dim of a signal that starts with the m elements of input."""
    return _half_spectrum(input, _one(n), _one(dim), norm, False, out, "hfft")


def irfft2(input: Tensor, s: Sequence[int] | None = None, dim: Sequence[int] = (-2, -1), norm: str | None = None, *,
           out: Tensor | None = None) -> Tensor:
    """:func:`irfftn` over two dims."""
    return irfftn(input, s, dim, norm, out=out)


def hfft2(input: Tensor, s: Sequence[int] | None = None, dim: Sequence[int] = (-2, -1), norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:
    """:func:`hfftn` over two dims."""
    return hfftn(input, s, dim, norm, out=out)


def irfftn(input: Tensor, s: Sequence[int] | None = None, dim: Sequence[int] | None = None, norm: str | None = None, *,
           out: Tensor | None = None) -> Tensor:
    """:func:`irfft` along the last of `dim` (all dims), inverse transforms along the others; `s`: the result's
    sizes."""
    return _half_spectrum(input, s, dim, norm, True, out, "irfftn")


def hfftn(input: Tensor, s: Sequence[int] | None = None, dim: Sequence[int] | None = None, norm: str | None = None, *,
          out: Tensor | None = None) -> Tensor:
    """:func:`hfft` along the last of `dim` (all dims), transforms along the others; `s`: sizes of the result."""
    return _half_spectrum(input, s, dim, norm, False, out, "hfftn")


def _one(n: int | None) -> list[int] | None:
    return None if n is None else [n]


# -- frequencies and shifts --------------------------------------------------------------------------------------------

def _frequencies(n: int, d: float, first: int, count: int, out: Tensor | None, dtype: Any,
                 requires_grad: bool) -> Tensor:
    dtype = get_default_dtype() if dtype is None else dtype
    if not dtype.is_floating_point:
        raise RuntimeError(f"fftfreq requires a floating point or complex dtype, got {dtype}")
    y = roll(arange(first, first + count).to(dtype), first) * (1.0 / (n * d) if n * d else math.inf)
    return y.requires_grad_(requires_grad) if out is None else out.resize_(y.shape).copy_(y)


def fftfreq(n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
            device: Any = None, pin_memory: bool | None = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of fft of n places, d apart: (0, 1, ..., -2, -1) / (n d)."""
    return _frequencies(n, d, -(n // 2), n, out, dtype, requires_grad)


def rfftfreq(n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None,
             device: Any = None, pin_memory: bool | None = None, requires_grad: bool = False) -> Tensor:
    """The frequencies of rfft of n places, d apart: (0, 1, ..., n // 2) / (n d)."""
    return _frequencies(n, d, 0, n // 2 + 1, out, dtype, requires_grad)


def _shifted(x: Tensor, dim: int | Sequence[int] | None, inverse: bool) -> Tensor:
    dims = list(range(x.ndim)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    sizes = [x.shape[_wrap(d, x.ndim)] for d in dims]
    return roll(x, [(n + 1) // 2 if inverse else n // 2 for n in sizes], dims)


def fftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Element 0 moved to the middle of `dim` (all dims), as if frequencies went from negative to positive."""
    return _shifted(input, dim, False)


def ifftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of :func:`fftshift`."""
    return _shifted(input, dim, True)


# -- short transforms along a signal -----------------------------------------------------------------------------------

def stft(input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
         window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect", normalized: bool = False,
         onesided: bool | None = None, return_complex: bool | None = None,
         align_to_window: bool | None = None) -> Tensor:
    """The spectra of windows of a signal (*, length), one every hop_length places (n_fft // 4), as real and imaginary
    parts: (*, n_fft // 2 + 1, windows, 2). Wants return_complex=False, for there are no complex dtypes."""
    if return_complex is None:
        raise RuntimeError("stft requires the return_complex parameter be given for real inputs: in minitorch_bn it "
                           "must be False")
    if return_complex:
        raise RuntimeError("stft with return_complex=True gives complex numbers, which minitorch_bn does not have: "
                           "return_complex=False gives the real and the imaginary parts in a last dim of 2")
    if not input.is_floating_point():
        raise RuntimeError("stft: expected a tensor of floating point or complex values")
    if input.ndim not in (1, 2):
        raise RuntimeError("stft: expected a 1D or 2D tensor")
    if center and align_to_window is not None:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    x = input if input.ndim == 2 else input.unsqueeze(0)
    if center:
        x = pad(x.unsqueeze(0), (n_fft // 2, n_fft // 2), pad_mode).squeeze(0)
    elif align_to_window:
        x = pad(x, ((n_fft - size) // 2, (n_fft - size) // 2))
    if not 0 < n_fft <= x.shape[-1]:
        raise RuntimeError(f"stft: expected 0 < n_fft < {x.shape[-1]}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"stft: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < size <= n_fft:
        raise RuntimeError(f"stft: expected 0 < win_length <= n_fft, but got win_length={size}")
    if window is not None and tuple(window.shape) != (size,):
        raise RuntimeError(f"stft: expected a 1D window tensor of size equal to win_length={size}, but got window with "
                           f"size {list(window.shape)}")
    before = (n_fft - size) // 2
    window = x.new_ones(size) if window is None else window.to(x.dtype)
    frames = x.unfold(-1, n_fft, hop) * pad(window, (before, n_fft - size - before))
    bins = n_fft if onesided is False else n_fft // 2 + 1
    angles = (arange(n_fft).unsqueeze(1) * arange(bins) % n_fft).double() * (-2 * math.pi / n_fft)
    y = stack([frames @ part.to(x.dtype) for part in (angles.cos(), angles.sin())], -1).transpose(-3, -2)
    y = y / math.sqrt(n_fft) if normalized else y
    return y if input.ndim == 2 else y.squeeze(0)


def istft(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """RuntimeError: the input is complex."""
    raise RuntimeError("istft requires a complex-valued input tensor, and minitorch_bn has no complex dtypes: "
                       "torch.fft.irfft inverts one frame without imaginary part")


# -- what there is not -------------------------------------------------------------------------------------------------

def _refuse(name: str) -> Callable[..., Any]:
    def refused(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"fft.{name} gives complex numbers, which minitorch_bn does not have: use numpy.fft.{name} "
                           "on input.numpy(), or fft.irfft and fft.hfft, which give real ones")

    refused.__name__ = refused.__qualname__ = name
    refused.__doc__ = "RuntimeError: the result is complex."
    return refused


fft, ifft, rfft, ihfft = _refuse("fft"), _refuse("ifft"), _refuse("rfft"), _refuse("ihfft")
fft2, ifft2, rfft2, ihfft2 = _refuse("fft2"), _refuse("ifft2"), _refuse("rfft2"), _refuse("ihfft2")
fftn, ifftn, rfftn, ihfftn = _refuse("fftn"), _refuse("ifftn"), _refuse("rfftn"), _refuse("ihfftn")

explain(globals(), __all__, "fft_")
explain(globals(), ["stft"])
