"""NumPy's name for `dim`, as PyTorch takes it: `axis`."""
import pytest

import minitorch_bn as torch

CALLS = {"sort": (), "argsort": (), "topk": (2,), "kthvalue": (1,), "median": (), "nanmedian": (), "mode": (),
         "chunk": (2,), "unbind": (), "tensor_split": (2,), "nansum": (), "nanmean": (), "count_nonzero": (),
         "var_mean": (), "std_mean": (), "softmax": (), "log_softmax": (), "logsumexp": (), "cumsum": (), "cumprod": (),
         "cummax": (), "cummin": (), "logcumsumexp": (), "sum": (), "mean": (), "var": (), "argmax": (), "amax": ()}
REQUIRED = ["softmax", "log_softmax", "logsumexp", "cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"]


@pytest.mark.parametrize("name", CALLS)
def test_axis_is_dim(name):
    x = torch.arange(12.0).reshape(3, 4).sin()
    for axis in (0, 1):
        forms = [getattr(torch, name)(x, *CALLS[name], dim=axis), getattr(torch, name)(x, *CALLS[name], axis=axis)]
        if hasattr(x, name):
            forms.append(getattr(x, name)(*CALLS[name], axis=axis))
        for result in forms[1:]:
            torch.testing.assert_close(result, forms[0])


@pytest.mark.parametrize("name", REQUIRED)
def test_one_of_them_is_needed(name):
    with pytest.raises(TypeError, match=rf'{name}\(\) missing 1 required positional argument: "dim"'):
        getattr(torch, name)(torch.ones(3))
