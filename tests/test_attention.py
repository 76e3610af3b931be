"""Attention: what a mask hides has no weight and no gradient, a query that sees nothing gives zeros, against NumPy."""

import numpy as np
import pytest

import minitorch_bn as torch
import minitorch_bn.nn.functional as F
from minitorch_bn.autograd import gradcheck, gradgradcheck


def values(*shapes):
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.standard_normal(shape)).requires_grad_() for shape in shapes]


@pytest.mark.parametrize(("length", "seen"), [(5, 5), (7, 4), (4, 9), (1, 1)])
@pytest.mark.parametrize("kind", ["none", "causal", "bool", "rows", "float"])
def test_attention(length, seen, kind):
    q, k, v = values((2, 3, length, 8), (2, 3, seen, 8), (2, 3, seen, 6))
    rng = np.random.default_rng(1)
    allowed = np.ones((length, seen), bool)
    bias = np.zeros((length, seen))
    mask = None
    if kind == "causal":
        allowed = np.tril(allowed)
    elif kind == "float":
        bias = rng.standard_normal((length, seen))
        mask = torch.from_numpy(bias)
    elif kind != "none":
        allowed = rng.random((2, 1, length, seen)) > 0.5 if kind == "bool" else np.arange(seen) < np.ones((length, 1))
        allowed[..., 0, :] = False                                  # a query that sees nothing
        mask = torch.from_numpy(allowed)
    scores = np.where(allowed, q.detach().numpy() @ k.detach().numpy().swapaxes(-1, -2) / np.sqrt(8) + bias, -np.inf)
    with np.errstate(invalid="ignore"):
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights = np.nan_to_num(weights / weights.sum(-1, keepdims=True))

    def attend(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=kind == "causal")

    y = attend(q, k, v)
    np.testing.assert_allclose(y.detach().numpy(), weights @ v.detach().numpy(), rtol=0, atol=1e-14)
    assert gradcheck(attend, (q, k, v))
    if length * seen < 30:
        assert gradgradcheck(attend, (q, k, v))


def test_masked_numbers_are_not_read():
    """A key that is hidden from all may be as large as it likes."""
    q, k, v = (t.detach().float() for t in values((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 4)))
    mask = torch.tensor([True, True, False, True, False])
    k[:, :, 2] = 1e30
    y = F.scaled_dot_product_attention(q, k, v, mask)
    expected = F.scaled_dot_product_attention(q, k[:, :, [0, 1, 3]], v[:, :, [0, 1, 3]])
    torch.testing.assert_close(y, expected)
    causal = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    same = F.scaled_dot_product_attention(q, k, v, torch.ones(3, 5).tril().bool())
    assert torch.equal(causal, same)
