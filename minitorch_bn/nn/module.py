"""The base class of every network: a tree of modules that owns parameters and buffers."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import minitorch_bn as torch
from minitorch_bn import _core

from . import hooks
from .conversions import Convertible
from .hooks import (  # noqa: F401  (PyTorch has the functions here)
    Hooked,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from .parameter import Buffer, Parameter
from .state import Stateful, _IncompatibleKeys  # noqa: F401  (PyTorch has it here)

Self = TypeVar("Self", bound="Module")


def _addindent(s_: str, numSpaces: int) -> str:
    """The text with its lines after the first moved to the right; under PyTorch's name, for printed forms of users."""
    return textwrap.indent(s_, " " * numSpaces).lstrip(" ") if "\n" in s_ else s_


def typename(value: Any) -> str:
    """The type of `value` as messages name it, e.g. 'torch.FloatTensor', 'numpy.ndarray', 'int'."""
    if isinstance(value, torch.Tensor):
        return value.type()
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


class Module(Hooked, Stateful, Convertible):
    """A network or a part of one: subclass it, set parts as attributes in `__init__`, compute in `forward`.

    A `Parameter`, `Buffer` or `Module` that is set as an attribute is found again by `parameters()`, `state_dict()`,
    `to()` and the other methods. The names, keys, messages and printed form are those of `torch.nn.Module`.
    """

    training: bool
    call_super_init: bool = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and (args or kwargs):
            extra = f"got an unexpected keyword argument '{next(iter(kwargs))}'" if kwargs else \
                f"takes 1 positional argument but {len(args) + 1} were given"
            raise TypeError(f"{type(self).__name__}.__init__() {extra}")
        self.__dict__.update(training=True, _parameters={}, _buffers={}, _non_persistent_buffers_set=set(), _modules={})
        self._reset_hooks()
        self._reset_state_hooks()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; every subclass defines it. Call the module itself, so that its hooks run."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooked or hooks.everywhere._hooked:
            return hooks.call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    def __setstate__(self, state: dict) -> None:
        self._reset_hooks()
        self._reset_state_hooks()
        self.__dict__.update({"_non_persistent_buffers_set": set(), **state})

    # -- attributes ----------------------------------------------------------------------------------------------

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__getattr__ is Module.__getattr__ and cls.__getattribute__ is object.__getattribute__:
            _core.look_in_stores(cls, ("_parameters", "_modules", "_buffers"))

    def __getattr__(self, name: str) -> Any:
        # Reached only when normal lookup fails, which is where parameters, buffers and submodules live.
        stores = self.__dict__
        if "_parameters" in stores:
            if name in stores["_parameters"]:
                return stores["_parameters"][name]
            if name in stores["_modules"]:
                return stores["_modules"][name]
            if name in stores["_buffers"]:
                return stores["_buffers"][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        stores = self.__dict__
        if "_parameters" not in stores:
            for cls, kind in (Parameter, "parameters"), (Module, "module"), (Buffer, "buffer"):
                if isinstance(value, cls):
                    raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
            super().__setattr__(name, value)
        elif isinstance(value, Parameter):
            self._forget(name, kept=stores["_parameters"])
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._forget(name, kept=stores["_modules"])
            stores["_modules"][name] = hooks.replaced("module", self, name, value)
        elif isinstance(value, Buffer):
            self._forget(name, kept=stores["_buffers"])
            self.register_buffer(name, value, value.persistent)
        elif name in stores["_parameters"]:
            if value is not None:
                raise TypeError(f"cannot assign '{typename(value)}' as parameter '{name}' "
                                "(torch.nn.Parameter or None expected)")
            stores["_parameters"][name] = None
        elif name in stores["_modules"]:
            if value is not None:
                raise TypeError(f"cannot assign '{typename(value)}' as child module '{name}' "
                                "(torch.nn.Module or None expected)")
            stores["_modules"][name] = None
        elif name in stores["_buffers"]:
            if value is not None and not isinstance(value, torch.Tensor):
                raise TypeError(f"cannot assign '{typename(value)}' as buffer '{name}' "
                                "(torch.nn.Buffer, torch.Tensor or None expected)")
            stores["_buffers"][name] = value
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if not self._forget(name):
            super().__delattr__(name)

    def _forget(self, name: str, kept: dict | None = None) -> bool:
        """Drop what is stored under `name`, except in `kept`, where a new value takes its place; whether there was."""
        stores = self.__dict__
        stores["_non_persistent_buffers_set"].discard(name)
        found = False
        for store in (stores["_parameters"], stores["_modules"], stores["_buffers"], stores):
            if store is not kept and name in store:
                del store[name]
                found = True
        return found

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[0].isdigit())

    def _check_new_name(self, name: Any, kind: str, store: dict) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {typename(name)}")
        if "." in name:
            raise KeyError(f'{kind} name can\'t contain ".", got: {name}' if kind == "module"
                           else f'{kind} name can\'t contain "."')
        if name == "":
            raise KeyError(f'{kind} name can\'t be empty string ""')
        if hasattr(self, name) and name not in store:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter; with None, a name that can later hold one."""
        self._check_new_name(name, "parameter", self.__dict__.get("_parameters", {}))
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign '{typename(param)}' object to parameter '{name}' "
                            "(torch.nn.Parameter or None required)")
        if param is not None and param.grad_fn is not None:
            raise ValueError(f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                             f"explicitly. To express '{name}' as a function of another Tensor, compute the value in "
                             "the forward() method.")
        self._parameters[name] = hooks.replaced("parameter", self, name, param)

    def register_buffer(self, name: str, tensor: torch.Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that moves with the module and, if `persistent`, is part of its `state_dict`."""
        self._check_new_name(name, "buffer", self.__dict__.get("_buffers", {}))
        if tensor is not None and not isinstance(tensor, torch.Tensor):
            raise TypeError(f"cannot assign '{typename(tensor)}' object to buffer '{name}' "
                            "(torch Tensor or None required)")
        self._buffers[name] = hooks.replaced("buffer", self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{typename(module)} is not a Module subclass")
        self._check_new_name(name, "module", self.__dict__.get("_modules", {}))
        self._modules[name] = hooks.replaced("module", self, name, module)

    register_module = add_module

    # -- walking the tree ----------------------------------------------------------------------------------------

    def named_modules(self, memo: set | None = None, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """This module and all its descendants, depth first, with their dotted names."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all its descendants."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside this one with their names; the same module is listed once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly inside this one."""
        return (module for _, module in self.named_children())

    def _named_members(self, get_members: Callable, prefix: str = "", recurse: bool = True,
                       remove_duplicate: bool = True) -> Iterator[tuple[str, Any]]:
        seen = set()
        modules = (self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse
                   else [(prefix, self)])
        for module_name, module in modules:
            for name, member in get_members(module):
                if member is not None and member not in seen:
                    if remove_duplicate:
                        seen.add(member)
                    yield f"{module_name}.{name}" if module_name else name, member

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their dotted names; a shared one is listed once."""
        return self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters: what an optimizer takes."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, torch.Tensor]]:
        """All buffers with their dotted names."""
        return self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[torch.Tensor]:
        """All buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The descendant with this dotted name; this module itself for the empty one."""
        module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at a dotted name; with `strict`, only in the place of one that is there."""
        if not target:
            raise ValueError("Cannot set the submodule without a target name!")
        parent_name, _, name = target.rpartition(".")
        parent = self.get_submodule(parent_name)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with this dotted name."""
        return self._get_member(target, lambda value, owner, name: isinstance(value, Parameter), "an nn.Parameter")

    def get_buffer(self, target: str) -> torch.Tensor:
        """The buffer with this dotted name."""
        return self._get_member(target, lambda value, owner, name: name in owner._buffers, "a buffer")

    def _get_member(self, target: str, accept: Callable[[Any, Module, str], bool], kind: str) -> Any:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not hasattr(owner, name):
            raise AttributeError(f"{owner._get_name()} has no attribute `{name}`")
        value = getattr(owner, name)
        if not accept(value, owner, name):
            raise AttributeError(f"`{name}` is not {kind}")
        return value

    # -- changing everything at once -----------------------------------------------------------------------------

    def apply(self: Self, fn: Callable[[Module], None]) -> Self:
        """Call `fn` on every descendant, then on this module: the usual way to initialize weights."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Accepted so that scripts run: there is nothing to compile."""

    def train(self: Self, mode: bool = True) -> Self:
        """Set training mode (dropout drops, batch norm uses the batch) here and below; `train(False)` is `eval()`."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Set evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Freeze (False) or unfreeze every parameter."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of every parameter, or set them to zero."""
        for param in self.parameters():
            if param.grad is not None:
                param.grad = None if set_to_none else param.grad.detach().zero_()

    # -- printing ------------------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the parentheses of the printed form; for subclasses to define."""
        return ""

    def _repr_children(self) -> Iterator[str]:
        for name, module in self._modules.items():
            yield f"({name}): {module!r}"

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        children = [textwrap.indent(text, "  ").lstrip(" ") for text in self._repr_children()]
        lines = extra_lines + children
        if not lines:
            body = ""
        elif len(extra_lines) == 1 and not children:
            body = extra
        else:
            body = "\n  " + "\n  ".join(lines) + "\n"
        return f"{self._get_name()}({body})"
