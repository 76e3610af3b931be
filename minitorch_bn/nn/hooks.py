"""Functions that users attach to modules, and how a call runs them before, after and in the backward pass."""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import minitorch_bn as torch


class RemovableHandle(torch.RemovableHandle):
    """A handle that follows copies and pickles of the module that keeps it."""

    def __getstate__(self) -> tuple[OrderedDict | None, int]:
        return self.hooks_ref(), self.id

    def __setstate__(self, state: tuple[OrderedDict | None, int]) -> None:
        hooks, self.id = state
        self.hooks_ref = weakref.ref(OrderedDict() if hooks is None else hooks)


def add_hook(hooks: OrderedDict, hook: Callable, prepend: bool = False) -> RemovableHandle:
    """Put `hook` after (or before) the others; the handle takes it away again."""
    handle = RemovableHandle(hooks, hook)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class Hooked:
    """Something with hooks: a module, or (as `everywhere`) all modules at once. They run in order of registration."""

    _hooked = False  # whether a hook was ever registered: one attribute to test in every call
    _forward_pre_hooks: OrderedDict[int, Callable]
    _forward_hooks: OrderedDict[int, Callable]
    _backward_pre_hooks: OrderedDict[int, Callable]
    _backward_hooks: OrderedDict[int, Callable]
    _hooks_with_kwargs: set[int]
    _hooks_always_called: set[int]

    def _reset_hooks(self) -> None:
        self.__dict__.update(
            _forward_pre_hooks=OrderedDict(), _forward_hooks=OrderedDict(), _backward_pre_hooks=OrderedDict(),
            _backward_hooks=OrderedDict(), _hooks_with_kwargs=set(), _hooks_always_called=set())

    def _add_hook(self, hooks: OrderedDict, hook: Callable, prepend: bool = False, with_kwargs: bool = False,
                  always_call: bool = False) -> RemovableHandle:
        handle = add_hook(hooks, hook, prepend)
        if with_kwargs:
            self._hooks_with_kwargs.add(handle.id)
        if always_call:
            self._hooks_always_called.add(handle.id)
        self.__dict__["_hooked"] = True
        return handle

    def register_forward_pre_hook(self, hook: Callable, *, prepend: bool = False,
                                  with_kwargs: bool = False) -> RemovableHandle:
        """Run `hook(module, args)` before forward; what it returns, if not None, replaces the arguments."""
        return self._add_hook(self._forward_pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(self, hook: Callable, *, prepend: bool = False, with_kwargs: bool = False,
                              always_call: bool = False) -> RemovableHandle:
        """Run `hook(module, args, output)` after forward; what it returns, if not None, replaces the output."""
        return self._add_hook(self._forward_hooks, hook, prepend, with_kwargs, always_call)

    def register_full_backward_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Run `hook(module, grad_output)` before the gradients of the inputs are computed."""
        return self._add_hook(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Run `hook(module, grad_input, grad_output)` once the gradients of the inputs are known."""
        return self._add_hook(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Callable) -> RemovableHandle:
        """The older name of `register_full_backward_hook`, which it is here."""
        return self.register_full_backward_hook(hook)


everywhere = Hooked()
everywhere._reset_hooks()
# Hooks (module, name, value) that are called for everything that any module registers, and may replace it, by kind.
on_registration: dict[str, OrderedDict[int, Callable]] = {
    "parameter": OrderedDict(), "buffer": OrderedDict(), "module": OrderedDict()}


def register_module_parameter_registration_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(module, name, parameter)` whenever a parameter is registered; what it returns, if not None, is used."""
    return add_hook(on_registration["parameter"], hook)


def register_module_buffer_registration_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(module, name, buffer)` whenever a buffer is registered; what it returns, if not None, is used."""
    return add_hook(on_registration["buffer"], hook)


def register_module_module_registration_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(module, name, submodule)` whenever a module is registered; what it returns, if not None, is used."""
    return add_hook(on_registration["module"], hook)


def replaced(kind: str, module: Any, name: str, value: Any) -> Any:
    """`value` as the registration hooks leave it."""
    for hook in on_registration[kind].values():
        changed = hook(module, name, value)
        if changed is not None:
            value = changed
    return value


register_module_forward_pre_hook = everywhere.register_forward_pre_hook
register_module_forward_hook = everywhere.register_forward_hook
register_module_backward_hook = everywhere.register_full_backward_hook
register_module_full_backward_pre_hook = everywhere.register_full_backward_pre_hook
register_module_full_backward_hook = everywhere.register_full_backward_hook


def _hooks(kind: str, module: Hooked) -> list[tuple[Callable, bool, bool]]:
    """(hook, wants keyword arguments, runs even after an error) of all modules' hooks, then of this one's."""
    return [(hook, key in table._hooks_with_kwargs, key in table._hooks_always_called)
            for table in (everywhere, module) for key, hook in getattr(table, kind).items()]


def _bare(table: Hooked) -> bool:
    return not (table._forward_pre_hooks or table._forward_hooks or table._backward_pre_hooks or table._backward_hooks)


def call_with_hooks(module: Any, args: tuple, kwargs: dict) -> Any:
    """`module.forward(*args, **kwargs)` between its hooks."""
    if _bare(module) and _bare(everywhere):  # all were removed: the next call need not come here
        module.__dict__["_hooked"] = everywhere.__dict__["_hooked"] = False
        return module.forward(*args, **kwargs)
    after = _hooks("_forward_hooks", module)
    result, done = None, 0
    try:
        for hook, with_kwargs, _ in _hooks("_forward_pre_hooks", module):
            args, kwargs = _changed_arguments(hook, with_kwargs, module, args, kwargs)
        tap = BackwardTap(module)
        result = module.forward(*tap.watch_inputs(args), **kwargs)
        for hook, with_kwargs, _ in after:
            done += 1
            changed = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
            if changed is not None:
                result = changed
        return tap.watch_outputs(result)
    except Exception:
        for hook, with_kwargs, always in after[done:]:
            if always:
                _call_quietly(hook, (module, args, kwargs, result) if with_kwargs else (module, args, result))
        raise


def _changed_arguments(hook: Callable, with_kwargs: bool, module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    """The arguments of forward after one forward pre-hook."""
    if not with_kwargs:
        changed = hook(module, args)
        if changed is None:
            return args, kwargs
        return changed if isinstance(changed, tuple) else (changed,), kwargs
    changed = hook(module, args, kwargs)
    if changed is None:
        return args, kwargs
    if not (isinstance(changed, tuple) and len(changed) == 2):
        raise RuntimeError("forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got "
                           f"{changed}.")
    return changed


def _call_quietly(hook: Callable, arguments: tuple) -> None:
    """Run an `always_call` hook while another exception is on its way: its own must not hide that one."""
    try:
        hook(*arguments)
    except Exception as error:
        warnings.warn(f"module forward hook with ``always_call=True`` raised an exception that was silenced "
                      f"as another error was raised in forward: {error}", stacklevel=3)


class _Tap(torch.autograd.Function):
    """The identity, whose backward shows all gradients at once to a function, which may replace them."""

    @staticmethod
    def forward(ctx, on_grads, *tensors):
        ctx.on_grads = on_grads
        ctx.set_materialize_grads(False)
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx, *grads):
        return None, *ctx.on_grads(grads)


def _tap(values: tuple, on_grads: Callable) -> tuple[tuple, list[int]]:
    """`values` with every tensor that needs a gradient passed through a _Tap, and the places of those."""
    places = [i for i, v in enumerate(values) if isinstance(v, torch.Tensor) and v.requires_grad]
    if not places or not torch.is_grad_enabled():
        return values, []
    tapped = list(values)
    for i, tensor in zip(places, _Tap.apply(on_grads, *[values[i] for i in places])):
        tapped[i] = tensor
    return tuple(tapped), places


def _spread(grads: tuple, places: list[int], length: int) -> tuple:
    """A tuple of `length` with `grads` at `places` and None elsewhere."""
    spread = [None] * length
    for i, grad in zip(places, grads):
        spread[i] = grad
    return tuple(spread)


class BackwardTap:
    """One forward call of a module whose gradients are shown to its full backward hooks."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.pre_hooks = _hooks("_backward_pre_hooks", module)
        self.hooks = _hooks("_backward_hooks", module)
        self.n_inputs = 0
        self.input_places: list[int] = []
        self.grad_output: tuple | None = None

    def watch_inputs(self, args: tuple) -> tuple:
        if not self.hooks:
            return args
        self.n_inputs = len(args)
        args, self.input_places = _tap(args, self._input_grads)
        return args

    def watch_outputs(self, result: Any) -> Any:
        if not (self.hooks or self.pre_hooks):
            return result
        outputs = result if isinstance(result, tuple) else (result,)
        if not any(isinstance(output, torch.Tensor) for output in outputs):
            warnings.warn("For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                          f"but received {type(result)}", stacklevel=4)
            return result
        self.n_outputs = len(outputs)
        outputs, self.output_places = _tap(outputs, self._output_grads)
        return outputs if isinstance(result, tuple) else outputs[0]

    def _output_grads(self, grads: tuple) -> tuple:
        grad_output = _spread(grads, self.output_places, self.n_outputs)
        for hook, *_ in self.pre_hooks:
            changed = hook(self.module, grad_output)
            if changed is not None:
                grad_output = self._checked(changed, len(grad_output), "grad_output")
        self.grad_output = grad_output
        if self.hooks and not self.input_places:
            for hook, *_ in self.hooks:
                changed = hook(self.module, (None,) * self.n_inputs, grad_output)
                if changed is not None and any(grad is not None for grad in changed):
                    raise RuntimeError("Backward hook for Modules where no input requires gradient should always "
                                       "return None or None for all gradients.")
        return tuple(grad_output[i] for i in self.output_places)

    def _input_grads(self, grads: tuple) -> tuple:
        grad_input = _spread(grads, self.input_places, self.n_inputs)
        if self.grad_output is None:
            raise RuntimeError("Module backward hook for grad_input is called before the grad_output one. This "
                               "happens because the gradient in your nn.Module flows to the Module's input without "
                               "passing through the Module's output.")
        for hook, *_ in self.hooks:
            changed = hook(self.module, grad_input, self.grad_output)
            if changed is not None:
                grad_input = self._checked(changed, len(grad_input), "grad_input")
        return tuple(grad_input[i] for i in self.input_places)

    @staticmethod
    def _checked(changed: Any, length: int, what: str) -> tuple:
        changed = changed if isinstance(changed, tuple) else (changed,)
        if len(changed) != length:
            raise RuntimeError(f"Backward hook returned an invalid number of {what}, got {len(changed)}, "
                               f"but expected {length}")
        return changed
