"""Group norm of channels-last memory, forward and backward, against NumPy in float64; the layout remains."""

import numpy as np
import pytest

import minitorch_bn as torch
import minitorch_bn.nn.functional as F


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((2, 6, 5, 7), 3), ((9, 8, 4, 4), 8), ((3, 64, 28, 28), 8), ((1, 4, 90, 31), 1), ((2, 6, 3, 4, 5), 2),
     ((12, 33, 1, 9), 11), ((2, 700, 6, 5), 4)],
)
@pytest.mark.parametrize(("dtype", "offset"), [(np.float32, 0), (np.float32, 1e4), (np.float64, 0), (np.float64, 10)])
def test_group_norm_channels_last(shape, groups, dtype, offset):
    a, g, weight, bias = (
        np.asarray(np.random.default_rng(i).standard_normal(size) * 2 + 3, dtype)
        for i, size in enumerate([shape, shape, shape[1], shape[1]])
    )
    a += dtype(offset)

    def along(value):
        return value.reshape(-1, *[1] * (a.ndim - 2))

    def check(result, expected):
        bound = max(1.0, np.abs(expected).max()) * (4e-6 if dtype == np.float32 else 1e-12)
        np.testing.assert_allclose(result.detach().numpy(), expected, rtol=0, atol=bound)

    fmt = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    x = torch.from_numpy(a).contiguous(memory_format=fmt).requires_grad_()
    w, b = torch.from_numpy(weight).requires_grad_(), torch.from_numpy(bias).requires_grad_()
    y = F.group_norm(x, groups, w, b)
    y.backward(torch.from_numpy(g))  # of another layout
    assert y.stride() == x.stride() == x.grad.stride()
    wide, up = a.astype(np.float64).reshape(shape[0], groups, -1), g.astype(np.float64)
    scale = 1 / np.sqrt(wide.var(-1, keepdims=True) + 1e-5)
    xhat = (wide - wide.mean(-1, keepdims=True)) * scale
    gw = (up * along(weight.astype(np.float64))).reshape(wide.shape)
    dx = (gw - gw.mean(-1, keepdims=True) - xhat * (gw * xhat).mean(-1, keepdims=True)) * scale
    xhat = xhat.reshape(shape)
    check(y, xhat * along(weight) + along(bias))
    check(x.grad, dx.reshape(shape))
    dims = (0, *range(2, a.ndim))
    check(w.grad, (up * xhat).sum(dims))
    check(b.grad, up.sum(dims))
