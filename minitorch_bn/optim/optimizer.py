"""The base of every optimizer: parameter groups, state, hooks, and checkpoints that PyTorch's optimizers also read."""

from __future__ import annotations

import copy
import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import minitorch_bn as torch

from ..nn.hooks import RemovableHandle, add_hook

Closure = Callable[[], Any]
ParamsT = Iterable[torch.Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, torch.Tensor]]


class _Required:
    """The default of an option that every parameter group must give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

_global_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
_global_post_hooks: OrderedDict[int, Callable] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(optimizer, args, kwargs)` before every step of every optimizer."""
    return add_hook(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(optimizer, args, kwargs)` after every step of every optimizer."""
    return add_hook(_global_post_hooks, hook)


class Optimizer:
    """Changes parameters by their gradients. Subclasses define `step(closure=None)`.

    Args:
        params: tensors, (name, tensor) pairs, or dicts with "params" and options of their own: one group each.
        defaults: the options of the groups that do not set them.
    """

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._reset_hooks()
        self._patch_step_function()
        if isinstance(params, torch.Tensor):
            raise TypeError("params argument given to the optimizer should be an iterable of Tensors or dicts, "
                            f"but got {params.type()}")
        self.state: defaultdict[torch.Tensor, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _patch_step_function(self) -> None:
        """Put the hooks around the step of this class, once."""
        cls: Any = type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = self.profile_hook_step(cls.step)
            cls.step.hooked = True

    @staticmethod
    def profile_hook_step(step: Callable) -> Callable:
        """`step` between its hooks, which all optimizers and this one may have."""

        @functools.wraps(step)
        def stepped(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
            if _global_pre_hooks or self._optimizer_step_pre_hooks:
                for hook in [*_global_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()]:
                    changed = hook(self, (self, *args), kwargs)
                    if changed is not None:
                        if not (isinstance(changed, tuple) and len(changed) == 2):
                            raise RuntimeError(f"{step} must return None or a tuple of (new_args, new_kwargs), "
                                               f"but got {changed}.")
                        (self, *args), kwargs = changed
            result = step(self, *args, **kwargs)
            if _global_post_hooks or self._optimizer_step_post_hooks:
                for hook in [*self._optimizer_step_post_hooks.values(), *_global_post_hooks.values()]:
                    hook(self, (self, *args), kwargs)
            return result

        stepped.__doc__ = stepped.__doc__ or Optimizer.step.__doc__
        return stepped

    def _accelerator_graph_capture_health_check(self) -> None:
        """Called by optimizers that others wrote: there are no graphs of an accelerator here."""

    _cuda_graph_capture_health_check = _accelerator_graph_capture_health_check

    def _reset_hooks(self) -> None:
        self._optimizer_step_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._optimizer_step_post_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._optimizer_state_dict_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._optimizer_state_dict_post_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._optimizer_load_state_dict_pre_hooks: OrderedDict[int, Callable] = OrderedDict()
        self._optimizer_load_state_dict_post_hooks: OrderedDict[int, Callable] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_optimizer_step_pre_hooks" not in self.__dict__:
            self._reset_hooks()
        self._patch_step_function()

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            for key in sorted(group):
                if key != "params":
                    text += f"    {key}: {group[key]}\n"
        return text + ")"

    # -- the step ------------------------------------------------------------------------------------------------

    def step(self, closure: Closure | None = None) -> Any:
        """Change every parameter once; `closure`, if given, computes the loss and the gradients first."""
        raise NotImplementedError

    @staticmethod
    def _evaluate(closure: Closure | None) -> Any:
        """The loss, if there is a closure to compute it."""
        if closure is None:
            return None
        with torch.enable_grad():
            return closure()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients (default), or fill them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                grad = param.grad
                if grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                else:
                    if grad.grad_fn is not None:
                        grad.detach_()
                    else:
                        grad.requires_grad_(False)
                    grad.zero_()

    # -- groups --------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own, e.g. layers that are trained later."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, torch.Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError("optimizer parameters need to be organized in ordered collections, but the ordering of "
                            "tensors in sets will change between runs. Please use a list instead.")
        pairs = [param if isinstance(param, tuple) else (None, param) for param in params]
        params = param_group["params"] = [param for _, param in pairs]
        names = [name for name, _ in pairs if name is not None]
        if names:
            if len(names) != len(params):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            param_group["param_names"] = names
        for param in params:
            if not isinstance(param, torch.Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {_typename(param)}")
            if not self.defaults.get("differentiable") and not (param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)
        if len(set(params)) != len(params):
            warnings.warn("optimizer contains a parameter group with duplicate parameters; in future, this will cause "
                          "an error; see github.com/pytorch/pytorch/issues/40967 for more information", stacklevel=3)
        if any(("param_names" in param_group) != ("param_names" in group) for group in self.param_groups):
            given = "with names" if "param_names" in param_group else "without names"
            raise ValueError("all optimizer param groups should be with/without names. cannot add param group "
                             f"{given} to the optimizer")
        known = {param for group in self.param_groups for param in group["params"]}
        if not known.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """{"state": per parameter number, "param_groups": options and numbers}, as PyTorch lays them out."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[torch.Tensor, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                numbers.setdefault(param, len(numbers))
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[param] for param in group["params"]]
            groups.append(packed)
        state = {"state": {numbers.get(key, key): value for key, value in self.state.items()}, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, state)
            state = state if replaced is None else replaced
        return state

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a `state_dict()`, of this package or of PyTorch's: parameters are matched by their order."""
        state_dict = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            state_dict = state_dict if replaced is None else replaced
        own, saved = self.param_groups, copy.deepcopy(state_dict["param_groups"])
        if len(own) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(group["params"]) != len(old["params"]) for group, old in zip(own, saved)):
            raise ValueError("loaded state dict contains a parameter group that doesn't match the size of "
                             "optimizer's group")
        params = {number: param for group, old in zip(own, saved)
                  for number, param in zip(old["params"], group["params"])}
        state: defaultdict = defaultdict(dict)
        hosted = {number for old in saved if old.get("fused") or old.get("capturable") for number in old["params"]}
        for key, value in state_dict["state"].items():
            if key in params:
                state[params[key]] = _converted(value, params[key], key in hosted)
            else:
                state[key] = value
        groups = []
        for group, old in zip(own, saved):
            old["params"] = group["params"]
            if "param_names" in group:
                old.setdefault("param_names", group["param_names"])
            groups.append(old)
        self.__setstate__({"state": state, "param_groups": groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # -- hooks ---------------------------------------------------------------------------------------------------

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Run `hook(optimizer, args, kwargs)` before each step; it may return changed (args, kwargs)."""
        return add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Run `hook(optimizer, args, kwargs)` after each step."""
        return add_hook(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Run `hook(optimizer)` before `state_dict`."""
        return add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Run `hook(optimizer, state_dict)` after `state_dict`; it may return another one."""
        return add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Run `hook(optimizer, state_dict)` before `load_state_dict`; it may return another one."""
        return add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> RemovableHandle:
        """Run `hook(optimizer)` after `load_state_dict`."""
        return add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)


def _converted(value: Any, param: torch.Tensor, single_step: bool, name: Any = "") -> Any:
    """A copy of saved state in the dtype of its parameter; the step count keeps its own, or becomes float32."""
    if isinstance(value, torch.Tensor):
        if name == "step":
            return value.to(torch.float32, copy=True) if single_step else value.clone()
        return value.to(param.dtype, copy=True) if param.is_floating_point() else value.clone()
    if isinstance(value, dict):
        return {key: _converted(item, param, single_step, key) for key, item in value.items()}
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, Iterable):
        return type(value)(_converted(item, param, single_step) for item in value)  # type: ignore[call-arg]
    return value


def _typename(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def check_options(**options: Any) -> None:
    """Raise PyTorch's ValueError for the first of these options (lr, eps, weight_decay, ...) that is negative."""
    labels = {"lr": "learning rate", "eps": "epsilon value", "alpha": "alpha value", "momentum": "momentum value",
              "weight_decay": "weight_decay value", "lr_decay": "lr_decay value", "rho": "rho value",
              "initial_accumulator_value": "initial_accumulator_value value",
              "momentum_decay": "momentum_decay value"}
    for name, value in options.items():
        if not value >= 0.0:
            raise ValueError(f"Invalid {labels[name]}: {value}")


def check_rate(lr: float | torch.Tensor) -> None:
    """Raise PyTorch's ValueError for a learning rate that is negative or a tensor of several."""
    if isinstance(lr, torch.Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    check_options(lr=lr)


def check_betas(betas: tuple[Any, Any]) -> None:
    """Raise PyTorch's ValueError for a beta outside [0, 1)."""
    for i, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {beta}")


def check_fused(fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
    """Raise PyTorch's RuntimeError for `fused` together with what excludes it."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def check_step(group: dict[str, Any], hosted: str = "params and state_steps") -> None:
    """Raise PyTorch's AssertionError, in a step, for options of a group that the CPU does not serve."""
    if group.get("foreach") and group.get("differentiable"):
        raise AssertionError("_foreach ops don't support autograd")
    if group.get("capturable"):
        raise AssertionError(f"If capturable=True, {hosted} must be on supported devices: "
                             "['cuda', 'xpu', 'hpu', 'privateuseone', 'xla'].")


def new_step(single: bool = False, value: float = 0.0) -> torch.Tensor:
    """A step count in PyTorch's dtype for one: float64 if that is the default, else (or for `single`) float32."""
    double = torch.get_default_dtype() == torch.float64 and not single
    return torch.tensor(value, dtype=torch.float64 if double else torch.float32)


def _use_grad_for_differentiable(step: Callable) -> Callable:
    """`step` with gradients recorded if the optimizer is `differentiable`, else without."""

    @functools.wraps(step)
    def stepped(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            return step(self, *args, **kwargs)

    return stepped


def _get_value(x: Any) -> Any:
    """A number of a tensor with one element; anything else as it is."""
    return x.item() if isinstance(x, torch.Tensor) else x


def _to_scalar(x: Any) -> Any:
    """A tensor with one element as one without dims; anything else as it is."""
    return x.squeeze() if isinstance(x, torch.Tensor) and x.dim() else x


def _stack_if_compiling(x: Any) -> Any:
    """For optimizers that others wrote: nothing is compiled here."""
    return x


def _default_to_fused_or_foreach(params: list[torch.Tensor], differentiable: bool,
                                 use_fused: bool = False) -> tuple[bool, bool]:
    """For optimizers that others wrote: (False, False), the loop over the parameters."""
    return False, False


def _view_as_real(params: list[torch.Tensor], *state_and_grads: list[torch.Tensor]) -> None:
    """For optimizers that others wrote: there are no complex parameters."""


def with_grads(params: Iterable[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Those parameters that have a gradient, and their gradients."""
    found: list[torch.Tensor] = []
    grads: list[torch.Tensor] = []
    for param in params:
        grad = param.grad
        if grad is not None:
            found.append(param)
            grads.append(grad)
    return found, grads
