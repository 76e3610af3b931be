"""Trees of Python containers: lists, tuples, named tuples and dicts taken apart into leaves and put together again."""
from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class TreeSpec(NamedTuple):
    """The shape of a tree: the kind of container (None for a leaf), its keys, and the specs of its children."""

    type: Any
    context: Any
    children: tuple[Any, ...]

    @property
    def num_leaves(self) -> int:
        """How many leaves a tree of this shape has."""
        return 1 if self.type is None else sum(child.num_leaves for child in self.children)


LEAF = TreeSpec(None, None, ())


def _open(tree: Any) -> tuple[Any, list[Any]] | None:
    """The keys (for dicts) and children of a container; None for a leaf."""
    kind = type(tree)
    if kind in (dict, OrderedDict, defaultdict):
        return list(tree), list(tree.values())
    if kind in (list, tuple) or isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return None, list(tree)
    return None


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """(leaves, spec): the leaves in order, and what `tree_unflatten` needs to rebuild the tree."""
    opened = None if is_leaf is not None and is_leaf(tree) else _open(tree)
    if opened is None:
        return [tree], LEAF
    parts = [tree_flatten(child, is_leaf) for child in opened[1]]
    context = (opened[0], tree.default_factory) if type(tree) is defaultdict else opened[0]
    return [leaf for leaves, _ in parts for leaf in leaves], TreeSpec(type(tree), context, tuple(s for _, s in parts))


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of shape `treespec` with these leaves."""
    leaves = iter(leaves)

    def build(spec: TreeSpec) -> Any:
        if spec.type is None:
            return next(leaves)
        children = [build(child) for child in spec.children]
        if spec.type is defaultdict:
            return defaultdict(spec.context[1], zip(spec.context[0], children))
        if issubclass(spec.type, dict):
            return spec.type(zip(spec.context, children))
        return spec.type(*children) if hasattr(spec.type, "_fields") else spec.type(children)
    return build(treespec)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves, in order."""
    return tree_flatten(tree, is_leaf)[0]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The tree with `func(leaf, ...)` for each leaf; further trees of the same shape give further arguments."""
    leaves, spec = tree_flatten(tree, is_leaf)
    return tree_unflatten([func(*row) for row in zip(leaves, *(tree_leaves(rest, is_leaf) for rest in rests))], spec)


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with `func(leaf)` for each leaf of that type, the others as they are."""
    return tree_map(lambda leaf: func(leaf) if isinstance(leaf, kind) else leaf, tree)


def tree_any(pred: Callable[[Any], bool], tree: Any) -> bool:
    """Whether `pred` holds for a leaf."""
    return any(map(pred, tree_leaves(tree)))


def tree_all(pred: Callable[[Any], bool], tree: Any) -> bool:
    """Whether `pred` holds for every leaf."""
    return all(map(pred, tree_leaves(tree)))


def broadcast_prefix(prefix: Any, tree: Any) -> list[Any]:
    """One entry for each leaf of `tree`: `prefix` has its shape, or a leaf where the tree has a whole branch.

    Raises:
        ValueError: `prefix` has containers where the tree has others.
    """
    opened = _open(tree)
    if opened is None:
        if _open(prefix) is not None:
            raise ValueError(f"expected one value for a leaf, got {prefix!r}")
        return [prefix]
    if _open(prefix) is None:
        return [prefix] * len(tree_leaves(tree))
    keys, children = _open(prefix) or (None, [])
    if len(children) != len(opened[1]) or (keys and set(keys) != set(opened[0])):
        raise ValueError(f"{prefix!r} does not fit the structure of the values")
    pairs = zip([prefix[key] for key in opened[0]] if keys else children, opened[1])
    return [entry for part, child in pairs for entry in broadcast_prefix(part, child)]
