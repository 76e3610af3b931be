"""Stories that both packages tell: generators of results, compared one by one."""

import re
import warnings

import torch

import minitorch_bn as ours


def plain(value):
    """Tensors as lists, names of both packages alike, so that results can be compared."""
    if isinstance(value, (torch.Tensor, ours.Tensor)):
        return str(value.dtype).split(".")[-1], value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, (torch.dtype, ours.dtype)):
        return str(value).split(".")[-1]
    return re.sub(r"(?:torch|minitorch_bn)\.nn\.[\w.]*\.(\w+)", r"\1", value) if isinstance(value, str) else value


def attempt(function, *args, **kwargs):
    """The result, or the error's class and message."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error.args[0] if error.args else '').split())}"


def results(tell, package):
    """What the story `tell` yields when `package` is torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [plain(value) for value in tell(package)]


def compare(tell):
    """Fail unless both packages tell the same."""
    theirs, mine = results(tell, torch), results(tell, ours)
    assert len(theirs) == len(mine)
    for a, b in zip(theirs, mine):
        assert b == a
