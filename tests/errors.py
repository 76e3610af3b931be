"""Wrong calls: what they raise here and in PyTorch, and that a bad file is refused."""
import io
import pickle

import pytest

import minitorch_bn


def both_raise(expression, names):
    """The errors of an expression in PyTorch and here; names(library) are those that it may use, beside `torch`."""
    raised = []
    for library in (pytest.importorskip("torch"), minitorch_bn):
        with pytest.raises(Exception) as info:
            eval(expression, {**names(library), "torch": library})
        raised.append(info.value)
    assert type(raised[1]) is type(raised[0]), (expression, *raised)
    return [str(error) for error in raised]


def refused(file, match=None, **options):
    """Loading a file, or its bytes, raises UnpicklingError."""
    with pytest.raises(pickle.UnpicklingError, match=match):
        minitorch_bn.load(io.BytesIO(file) if isinstance(file, bytes) else file, **options)
