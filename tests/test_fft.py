"""fft: what is real in and out is NumPy's, with derivatives; what is complex is a clear error."""
import itertools

import numpy as np
import pytest

import minitorch_bn as torch
from minitorch_bn import fft
from minitorch_bn.autograd import gradcheck, gradgradcheck

X = np.random.default_rng(0).standard_normal((3, 4, 5))
NORMS = (None, "backward", "ortho", "forward")


def close(a, expected, tolerance=1e-12):
    assert tuple(a.shape) == expected.shape
    assert np.abs(a.detach().numpy() - expected).max(initial=0) <= tolerance


@pytest.mark.parametrize("n, dim, norm", list(itertools.product((None, 1, 2, 3, 6, 7, 12), (-1, 0, 1), NORMS)))
def test_one_dim(n, dim, norm):
    x = torch.from_numpy(X)
    close(fft.irfft(x, n, dim, norm), np.fft.irfft(X + 0j, n, dim, norm))
    close(fft.hfft(x, n, dim, norm), np.fft.hfft(X + 0j, n, dim, norm), 1e-11)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dim", [(-2, -1), (2, 0)])
@pytest.mark.parametrize("s", [None, (3, 4), (6, 7), (1, 1)])
def test_several_dims(s, dim, norm):
    x = torch.from_numpy(X)
    close(fft.irfft2(x, s, dim, norm), np.fft.irfft2(X + 0j, s, dim, norm))
    other = {"forward": "backward", "ortho": "ortho"}.get(norm, "forward")
    sizes = s or (X.shape[dim[0]], 2 * (X.shape[dim[1]] - 1))
    inner = np.fft.fftn(X, sizes[:1], dim[:1], norm)
    close(fft.hfft2(x, s, dim, norm), np.fft.irfft(inner.conj(), sizes[1], dim[1], other), 1e-10)


def test_all_dims():
    x = torch.from_numpy(X)
    close(fft.irfftn(x), np.fft.irfftn(X + 0j, axes=(0, 1, 2)))
    close(fft.irfftn(x, (2, 6)), np.fft.irfftn(X + 0j, (2, 6), (1, 2)))
    close(fft.irfftn(x, (-1, 6), (0, 1)), np.fft.irfftn(X + 0j, (3, 6), (0, 1)))
    assert fft.hfftn(x).shape == (3, 4, 8)
    assert fft.irfft(torch.arange(4)).dtype == torch.float32
    out = torch.empty(0, dtype=torch.float64)
    assert fft.irfft(x, out=out) is out and out.shape == (3, 4, 8)


@pytest.mark.parametrize("function", [
    fft.irfft, fft.hfft, lambda x: fft.irfft(x, 5, 0, "ortho"), lambda x: fft.hfft(x, 3, 1), fft.irfftn, fft.hfftn,
    lambda x: fft.irfft2(x, (2, 5)), fft.fftshift, lambda x: fft.ifftshift(x, 1)])
def test_derivatives(function):
    x = torch.from_numpy(X[0, :3, :4].copy()).requires_grad_()
    assert gradcheck(function, (x,))
    assert gradgradcheck(lambda x: function(x).square(), (x,))


@pytest.mark.parametrize("n, d", list(itertools.product((1, 2, 5, 8), (1.0, 0.25))))
def test_frequencies(n, d):
    close(fft.fftfreq(n, d, dtype=torch.float64), np.fft.fftfreq(n, d))
    close(fft.rfftfreq(n, d, dtype=torch.float64), np.fft.rfftfreq(n, d))
    assert fft.fftfreq(n).dtype == torch.float32


@pytest.mark.parametrize("options", [{}, {"hop_length": 3}, {"normalized": True}, {"onesided": False},
                                     {"win_length": 5}, {"center": False}, {"pad_mode": "constant"}])
def test_short_transforms(options):
    signal = X.reshape(2, 30)
    size = options.get("win_length", 8)
    window = torch.hann_window(size, dtype=torch.float64) if hasattr(torch, "hann_window") else torch.from_numpy(
        np.hanning(size))
    y = torch.stft(torch.from_numpy(signal), 8, window=window, return_complex=False, **options)
    weights = np.zeros(8)
    weights[(8 - size) // 2:(8 - size) // 2 + size] = window.numpy()
    if options.get("center", True):
        signal = np.pad(signal, ((0, 0), (4, 4)), options.get("pad_mode", "reflect"))
    frames = np.lib.stride_tricks.sliding_window_view(signal, 8, -1)[:, ::options.get("hop_length", 2)] * weights
    spectra = np.fft.fft(frames) if "onesided" in options else np.fft.rfft(frames)
    spectra = spectra.swapaxes(1, 2) / (8 ** 0.5 if "normalized" in options else 1)
    close(y, np.stack([spectra.real, spectra.imag], -1))
    close(torch.from_numpy(signal)[0].stft(8, center=False, return_complex=False)[..., 0],
          np.fft.rfft(np.lib.stride_tricks.sliding_window_view(signal[0], 8)[::2]).real.T)


def test_complex_short_transforms():
    x = torch.from_numpy(X.reshape(-1))
    with pytest.raises(RuntimeError, match="return_complex=False gives the real and the imaginary parts"):
        torch.stft(x, 8, return_complex=True)
    with pytest.raises(RuntimeError, match="complex"):
        torch.istft(torch.ones(3, 5, 2), 4)


def test_shifts():
    x = torch.from_numpy(X)
    for dim in (None, 0, (1, 2)):
        close(fft.fftshift(x, dim), np.fft.fftshift(X, dim))
        close(fft.ifftshift(fft.fftshift(x, dim), dim), X)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "ihfft", "fft2", "ifft2", "rfft2", "ihfft2", "fftn", "ifftn",
                                  "rfftn", "ihfftn"])
def test_complex_results(name):
    with pytest.raises(RuntimeError, match=rf"fft.{name} gives complex numbers"):
        getattr(fft, name)(torch.ones(4, 4))


@pytest.mark.parametrize("function, error, message", [
    (lambda x: fft.irfft(x, 0), RuntimeError, r"Invalid number of data points \(0\)"),
    (lambda x: fft.irfft(x[..., :1]), RuntimeError, "Invalid number of data points"),
    (lambda x: fft.irfft(x, dim=3), IndexError, "Dimension out of range"),
    (lambda x: fft.irfft(x, norm="x"), RuntimeError, "Invalid normalization mode"),
    (lambda x: fft.irfftn(x, dim=(0, -3)), RuntimeError, "unique"),
    (lambda x: fft.irfftn(x, (1, 2, 3, 4)), RuntimeError, "Got shape with 4 values"),
    (lambda x: fft.irfftn(x, (1,), (0, 1)), RuntimeError, "must have the same length"),
    (lambda x: fft.hfftn(x, dim=()), RuntimeError, "must transform at least one axis"),
    (lambda x: fft.irfft(x.half()), RuntimeError, "Unsupported dtype Half"),
])
def test_errors(function, error, message):
    with pytest.raises(error, match=message):
        function(torch.from_numpy(X))
