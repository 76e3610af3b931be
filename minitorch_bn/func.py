"""torch.func: transforms of functions: grad, vjp, jvp, Jacobians, Hessians, vmap, and calls with other parameters.

Each transform makes an ordinary Python function, and they nest: ``vmap(grad(loss))`` gives per-sample gradients.
Gradients come from backward with `create_graph` where something outside asks for more, forward-mode products from
differentiating backward twice. `vmap` calls the function once for each slice.
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

import minitorch_bn as torch
from minitorch_bn._core import Tensor, is_grad_enabled
from minitorch_bn._core import grad as _autograd
from minitorch_bn._modes import enable_grad
from minitorch_bn.utils._pytree import broadcast_prefix, tree_flatten, tree_leaves, tree_map, tree_unflatten

__all__ = ["functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp",
           "linearize", "replace_all_batch_norm_modules_", "stack_module_state", "vjp", "vmap"]

Function = Callable[..., Any]


# -- gradients ---------------------------------------------------------------------------------------------------------

def _fresh(tree: Any, name: str) -> tuple[Any, list[Tensor]]:
    """The tree with tensors that are differentiated by: new leaves, or views where a graph continues outside."""
    values, spec = tree_flatten(tree)
    for x in values:
        if not isinstance(x, Tensor):
            raise RuntimeError(f"{name}: expected the inputs that are differentiated to be Tensors, got "
                               f"{type(x).__name__}")
        if not x.is_floating_point():
            raise RuntimeError(f"{name}: only Tensors of floating point dtype can be differentiated by, got {x.dtype}")
    made = [x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in values]
    return tree_unflatten(made, spec), made


def _replaced(args: tuple[Any, ...], argnums: int | tuple[int, ...], name: str) -> tuple[list[Any], Any, list[Tensor]]:
    """(args, what they have at argnums, its tensors), after `_fresh` has replaced these."""
    single = isinstance(argnums, int)
    places = [argnums] if isinstance(argnums, int) else list(argnums)
    for place in places:
        if not -len(args) <= place < len(args):
            raise RuntimeError(f"{name}: got argnums={argnums}, but only {len(args)} positional arguments")
    chosen, leaves = _fresh([args[place] for place in places], name)
    new = list(args)
    for place, value in zip(places, chosen):
        new[place] = value
    return new, chosen[0] if single else tuple(chosen), leaves


def _continues(outputs: Sequence[Tensor], leaves: Sequence[Tensor]) -> bool:
    """Whether the graph of the outputs leads to tensors other than `leaves`: then a gradient has one of its own."""
    own = {id(x) for x in leaves}
    waiting = [y.grad_fn for y in outputs if y.grad_fn is not None]
    seen: set[Any] = set(waiting)
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is None or node in seen:
                continue
            seen.add(node)
            if isinstance(node, torch._core.AccumulateGrad):
                if id(node.variable) not in own:
                    return True
            else:
                waiting.append(node)
    return False


def _gradients(outputs: Sequence[Tensor], leaves: Sequence[Tensor], cotangents: Any, graph: bool) -> list[Tensor]:
    """d outputs / d leaves, zeros where there is no dependence."""
    tracked = [i for i, y in enumerate(outputs) if y.requires_grad]
    if not tracked:
        return [torch.zeros_like(x) for x in leaves]
    found = _autograd([outputs[i] for i in tracked], leaves,
                      None if cotangents is None else [cotangents[i] for i in tracked],
                      retain_graph=True, create_graph=graph, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves)]


def _split(result: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise RuntimeError(f"{name}: with has_aux=True the function must return a tuple (output, aux)")
    return result


def _closed(tree: Any, graph: bool) -> Any:
    """The tree as it leaves a transform: its tensors without history, unless something outside continues it."""
    return tree if graph else tree_map(lambda x: x.detach() if isinstance(x, Tensor) else x, tree)


def grad_and_value(func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """A function that returns (gradient, value) of `func`, or (gradient, (value, aux)).

    Args:
        func: returns a tensor of one element, or with `has_aux` a pair of that and anything else.
        argnums: the positional arguments to differentiate by: tensors, or trees of tensors.
    """
    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        outer = is_grad_enabled()
        with enable_grad():
            new, chosen, leaves = _replaced(args, argnums, "grad")
            value, aux = _split(func(*new, **kwargs), has_aux, "grad")
            if not isinstance(value, Tensor):
                raise RuntimeError(f"grad: expected the function to return a Tensor, got {type(value).__name__}")
            if value.dim():
                raise RuntimeError(f"grad: expected the function to return a scalar, got a tensor with {value.dim()} "
                                   "dims; use vmap(grad(f)) or jacrev(f)")
            graph = outer and _continues([value], leaves)
            grads = tree_unflatten(_gradients([value], leaves, None, graph), tree_flatten(chosen)[1])
        value = _closed(value, graph)
        return _closed(grads, graph), (value, _closed(aux, graph)) if has_aux else value
    return wrapped


def grad(func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of `func` (or (gradient, aux)); see :func:`grad_and_value`."""
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient
    return wrapped


def vjp(func: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """(func(*primals), vjp_fn): ``vjp_fn(cotangents)`` is the tuple of vector-Jacobian products, one per primal."""
    outer = is_grad_enabled()
    with enable_grad():
        new, leaves = _fresh(primals, "vjp")
        output, aux = _split(func(*new), has_aux, "vjp")
    outputs, spec = tree_flatten(output)
    graph = outer and _continues(outputs, leaves)
    shape = tree_flatten(primals)[1]

    def vjp_fn(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        values = tree_leaves(cotangents)
        if [v.shape for v in values] != [y.shape for y in outputs]:
            raise RuntimeError(f"vjp_fn: expected cotangents of shapes {[tuple(y.shape) for y in outputs]}, got "
                               f"{[tuple(v.shape) for v in values]}")
        further = is_grad_enabled() and (graph or any(v.requires_grad for v in values))
        with enable_grad():
            found = _gradients(outputs, leaves, values, further if create_graph is None else create_graph)
        return _closed(tree_unflatten(found, shape), further or bool(create_graph))
    output = tree_unflatten([_closed(y, graph) for y in outputs], spec)
    return (output, vjp_fn, _closed(aux, graph)) if has_aux else (output, vjp_fn)


def _linear(func: Function, primals: tuple[Any, ...], has_aux: bool, name: str) -> tuple[Any, Any, Function, bool]:
    """(output, aux, tangents -> J tangents, whether a graph continues outside): backward, seen as a function of its
    cotangents, is linear with the matrix J transposed; its own backward multiplies by J."""
    outer = is_grad_enabled()
    with enable_grad():
        new, leaves = _fresh(primals, name)
        output, aux = _split(func(*new), has_aux, name)
        outputs, spec = tree_flatten(output)
        seeds = [torch.zeros_like(y).requires_grad_() for y in outputs]
        turned = _gradients(outputs, leaves, seeds, True)
    graph = outer and _continues(outputs, leaves)

    def product(tangents: Any) -> Any:
        values = tree_leaves(tangents)
        if [v.shape for v in values] != [x.shape for x in leaves]:
            raise RuntimeError(f"{name}: expected tangents of the primals' shapes {[tuple(x.shape) for x in leaves]}, "
                               f"got {[tuple(v.shape) for v in values]}")
        further = is_grad_enabled() and (graph or any(v.requires_grad for v in values))
        with enable_grad():
            found = _gradients(turned, seeds, values, further)
        return _closed(tree_unflatten(found, spec), further)
    return output, aux, product, graph


def jvp(func: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...], *, strict: bool = False,
        has_aux: bool = False) -> tuple[Any, ...]:
    """(func(*primals), J tangents): the Jacobian-vector product in the direction of `tangents`."""
    output, aux, product, graph = _linear(func, tuple(primals), has_aux, "jvp")
    result = _closed(output, graph), product(tuple(tangents))
    return (*result, _closed(aux, graph)) if has_aux else result


def linearize(func: Function, *primals: Any) -> tuple[Any, Function]:
    """(func(*primals), jvp_fn): ``jvp_fn(*tangents)`` multiplies by the Jacobian there, `func` is not called again."""
    output, _, product, graph = _linear(func, primals, False, "linearize")
    return _closed(output, graph), lambda *tangents: product(tangents)


def jacrev(func: Function, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False,
           chunk_size: int | None = None, _preallocate_and_copy: bool = False) -> Function:
    """A function that returns the Jacobian of `func`, output.shape + input.shape, one backward per output element.

    Outputs and inputs may be trees: the result is a tree of the output whose leaves are trees of the input.
    """
    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        outer = is_grad_enabled()
        with enable_grad():
            new, chosen, leaves = _replaced(args, argnums, "jacrev")
            output, aux = _split(func(*new, **kwargs), has_aux, "jacrev")
            outputs, spec = tree_flatten(output)
            for y in outputs:
                if not isinstance(y, Tensor):
                    raise RuntimeError("jacrev: expected f(*primals) to return only tensors, got unsupported type "
                                       f"{type(y)}")
            graph = outer and _continues(outputs, leaves)
            shape = tree_flatten(chosen)[1]
            blocks = []
            for y in outputs:
                rows = [_gradients([element], leaves, None, graph) for element in y.reshape(-1).unbind()]
                columns = [torch.stack([row[i] for row in rows]).reshape(y.shape + x.shape) if rows
                           else x.new_zeros(y.shape + x.shape) for i, x in enumerate(leaves)]
                blocks.append(_closed(tree_unflatten(columns, shape), graph))
        jacobian = tree_unflatten(blocks, spec)
        return (jacobian, _closed(aux, graph)) if has_aux else jacobian
    return wrapped


def jacfwd(func: Function, argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *,
           randomness: str = "error") -> Function:
    """The same values as :func:`jacrev`, which computes them here too: in reverse, row by row."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Function, argnums: int | tuple[int, ...] = 0) -> Function:
    """A function that returns the matrix of second derivatives of `func`: the Jacobian of the Jacobian."""
    return jacfwd(jacrev(func, argnums), argnums)


# -- vmap --------------------------------------------------------------------------------------------------------------

def vmap(func: Function, in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error", *,
         chunk_size: int | None = None) -> Function:
    """A function that calls `func` on each slice of its inputs along `in_dims` and stacks the results.

    Args:
        in_dims: the dim that counts the slices: one for all inputs, or a tuple (or tree) with one for each; None for
            what every call gets whole.
        out_dims: where that dim goes in the outputs.
        randomness: "different" or "same" random numbers for each slice; "error" forbids to draw any.
        chunk_size: accepted: slices are taken one at a time.
    Raises:
        ValueError: the inputs do not agree on the number of slices, or in_dims does not fit them.
        RuntimeError: random numbers were drawn under randomness="error".
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size must be positive, got {chunk_size}")

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        values, spec = tree_flatten(args)
        try:
            dims = broadcast_prefix(tuple(in_dims) if isinstance(in_dims, (list, tuple)) else in_dims, args)
        except ValueError as error:
            raise ValueError(f"vmap: in_dims={in_dims} is not compatible with the inputs: {error}") from None
        named, named_spec = tree_flatten(kwargs)  # keyword arguments are sliced along dim 0
        dims += [0 if isinstance(value, Tensor) else None for value in named]
        values += named
        count = _slice_count(values, dims)
        state = torch.get_rng_state() if randomness != "different" else None
        results, shape = [], None
        for i in range(count):
            row = [x if d is None else x.select(d, i) for x, d in zip(values, dims)]
            if randomness == "same" and state is not None:
                torch.set_rng_state(state)
            output = func(*tree_unflatten(row[:len(values) - len(named)], spec),
                          **tree_unflatten(row[len(values) - len(named):], named_spec))
            leaves, shape = tree_flatten(output)
            for y in leaves:
                if not isinstance(y, Tensor):
                    raise ValueError(f"vmap: the function must return Tensors only, got {type(y).__name__}")
            results.append(leaves)
        if randomness == "error" and state is not None and not torch.equal(state, torch.get_rng_state()):
            raise RuntimeError("vmap: the function drew random numbers; say randomness='different' or 'same'")
        assert shape is not None
        template = tree_unflatten(results[0], shape)
        places = broadcast_prefix(tuple(out_dims) if isinstance(out_dims, list) else out_dims, template)
        stacked = [torch.stack(list(column), 0 if place is None else place) if place is not None else column[0]
                   for column, place in zip(zip(*results), places)]
        return tree_unflatten(stacked, shape)
    return wrapped


def _slice_count(values: Sequence[Any], dims: list[Any]) -> int:
    """The number of slices, the same for all inputs; negative dims are made positive in place."""
    counts = set()
    for i, (x, d) in enumerate(zip(values, dims)):
        if d is None:
            continue
        if not isinstance(x, Tensor):
            raise ValueError(f"vmap: in_dims has {d} for an input of type {type(x).__name__}; it must be None there")
        if not -x.dim() <= d < x.dim():
            raise ValueError(f"vmap: in_dims has {d} for an input with {x.dim()} dims")
        dims[i] = d % x.dim()
        counts.add(x.shape[d])
    if not counts:
        raise ValueError("vmap: at least one input must be a Tensor whose in_dim is not None")
    if len(counts) > 1:
        raise ValueError(f"vmap: expected all tensors to have the same size in the mapped dimension, got sizes "
                         f"{sorted(counts)}")
    if counts == {0}:
        raise ValueError("vmap: there are no slices: the mapped dimension has size 0")
    return counts.pop()


# -- modules as functions ----------------------------------------------------------------------------------------------

@contextmanager
def _with_tensors(module: Any, tensors: dict[str, Any], tie_weights: bool, strict: bool) -> Any:
    """The module with these parameters and buffers (by dotted name) in the place of its own."""
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    unknown = [name for name in tensors if name not in own]
    if strict and (unknown or len(tensors) < len(own)):
        raise RuntimeError(f"functional_call: unexpected {unknown}, missing "
                           f"{[name for name in own if name not in tensors]}")
    if unknown:
        raise AttributeError(f"functional_call: the module has no parameter or buffer {unknown[0]!r}")
    full = dict(tensors)
    if tie_weights:
        by_identity = {id(own[name]): value for name, value in tensors.items()}
        full |= {name: by_identity[id(x)] for name, x in own.items() if name not in full and id(x) in by_identity}
    undo = []
    try:
        for name, value in full.items():
            path, _, last = name.rpartition(".")
            part = module.get_submodule(path)
            store = part._parameters if last in part._parameters else part._buffers
            undo.append((store, last, store[last]))
            store[last] = value
        yield
    finally:
        for store, last, value in reversed(undo):
            store[last] = value


def functional_call(module: Any, parameter_and_buffer_dicts: Any, args: Any = None,
                    kwargs: dict[str, Any] | None = None, *, tie_weights: bool = True, strict: bool = False) -> Any:
    """``module(*args, **kwargs)`` with other parameters and buffers, given by name in a dict or several dicts.

    The module itself is as before afterwards. `args` that is not a tuple is the one argument.
    """
    dicts = parameter_and_buffer_dicts
    tensors: dict[str, Any] = {}
    for one in [dicts] if isinstance(dicts, dict) else dicts:
        twice = set(one) & set(tensors)
        if twice:
            raise ValueError(f"functional_call: {sorted(twice)} appear in more than one dict")
        tensors |= one
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _with_tensors(module, tensors, tie_weights, strict):
        return module(*args, **(kwargs or {}))


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(parameters, buffers) of several modules of one class, stacked by name: for vmap over an ensemble."""
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if len({type(model) for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(per_model: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.stack([tensors[name] for tensors in per_model]).detach()
                .requires_grad_(per_model[0][name].requires_grad) for name in per_model[0]}
    return (stacked([dict(model.named_parameters()) for model in models]),
            stacked([dict(model.named_buffers()) for model in models]))


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Make every batch norm of a module use the statistics of its batch only, and keep none; returns the module."""
    from minitorch_bn.nn.norm import _BatchNorm
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def functionalize(func: Function, *, remove: str = "mutations") -> Function:
    """`func` itself: writing in place is differentiable and works under every transform here."""
    return func
