"""The tensors that a Module owns: a Parameter is trained, a Buffer is only saved with the model."""

from __future__ import annotations

import minitorch_bn as torch


class Parameter(torch.Tensor):
    """A leaf tensor that `Module.parameters()` lists when it is set as an attribute of a module.

    Args:
        data: the values; an empty float tensor when None. Memory is shared with it.
        requires_grad: whether gradients are wanted (default) or the parameter is frozen.
    """

    def __new__(cls, data: torch.Tensor | None = None, requires_grad: bool = True) -> Parameter:
        return torch.Tensor._make_subclass(cls, torch.empty(0) if data is None else data, requires_grad)

    def __init__(self, data: torch.Tensor | None = None, requires_grad: bool = True) -> None:
        """All is done by `__new__`."""

    def __deepcopy__(self, memo: dict) -> Parameter:
        if id(self) not in memo:  # the gradient stays behind
            memo[id(self)] = type(self)(self.data.clone(), self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return "Parameter containing:\n" + repr(self.data.requires_grad_(self.requires_grad))


class Buffer(torch.Tensor):
    """A tensor that moves, and (when persistent) is saved, with its module, but is not trained."""

    persistent: bool

    def __new__(cls, data: torch.Tensor | None = None, *, persistent: bool = True) -> Buffer:
        data = torch.empty(0) if data is None else data
        return torch.Tensor._make_subclass(cls, data, data.requires_grad)

    def __init__(self, data: torch.Tensor | None = None, *, persistent: bool = True) -> None:
        self.persistent = persistent

    def __deepcopy__(self, memo: dict) -> Buffer:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.data.clone(), persistent=self.persistent)
        return memo[id(self)]
