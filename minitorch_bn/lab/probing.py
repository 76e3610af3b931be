"""A look into a network while it trains: each layer's mean, spread, percentiles and gradient, step by step."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

import numpy as np

import minitorch_bn as torch

from ._watch import is_batch_norm, watching
from .rows import Rows


def _has_parameters(name: str, module: Any) -> bool:
    return any(p is not None for p in module._parameters.values())


def open_writer(folder: Any) -> Any:
    """A writer of TensorBoard's event files, by the tensorboard package or by tensorboardX."""
    for name in "minitorch_bn.utils.tensorboard", "tensorboardX":
        try:
            return import_module(name).SummaryWriter(str(folder))
        except ImportError:
            continue
    raise ImportError("writing event files needs tensorboard or tensorboardX: pip install 'minitorch_bn[tensorboard]'")


class probe:
    """A ``with`` block in which a network trains, and its layers' outputs and gradients are measured.

    Args:
        model: the network. A step is one call of it in training mode.
        every: measure each so many steps.
        percentiles: which ones, of each layer's outputs.
        layers: names of the layers to measure, or a function (name, module) -> bool; by default those that have
            parameters of their own.
        writer: a folder for TensorBoard's event files, or a writer with `add_scalar`.

    `rows` has a dict for each layer and measured step: step, layer, mean, std, p15, p50, ..., grad_norm (of the loss at
    the layer's output; None without a backward); for a batch norm also m (values per channel) and gap (distance of
    running and batch mean, in standard deviations: root of the mean square over channels).
    """

    def __init__(self, model: Any, every: int = 1, *, percentiles: Iterable[float] = (15, 50, 85),
                 layers: Iterable[str] | Callable[[str, Any], bool] | None = None, writer: Any = None) -> None:
        if every < 1:
            raise ValueError(f"probe: every must be at least 1, got {every}")
        self.model = model
        self.every = every
        self.percentiles = tuple(percentiles)
        self.rows = Rows()
        self.step = -1
        if layers is None:
            layers = _has_parameters
        if callable(layers):
            self._chosen = {name for name, m in model.named_modules() if layers(name, m)}
        else:
            self._chosen = set(layers)
            unknown = self._chosen - {name for name, _ in model.named_modules()}
            if unknown:
                raise ValueError(f"probe: the model has no layer {', '.join(sorted(unknown))}")
        self._writer = writer
        self._own_writer: Any = None
        self._written = 0
        self._open = False  # inside a call of the model: what backward calls again is not measured

    def __enter__(self) -> probe:
        if self._writer is not None and not hasattr(self._writer, "add_scalar"):
            self._writer = self._own_writer = open_writer(self._writer)
        self._watching = watching(self.model, self._leaving, self._entering)
        self._watching.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._watching.__exit__(*error)
        self._write()
        if self._own_writer is not None:
            self._own_writer.close()

    def _entering(self, path: str, module: Any, x: Any, _: Any) -> None:
        if module is self.model and module.training:
            self._write()
            self.step += 1
            self._open = True

    def _leaving(self, path: str, module: Any, x: Any, y: Any) -> None:
        if self._open and path in self._chosen and self.step % self.every == 0 and isinstance(y, torch.Tensor):
            self._measure(path, module, x, y)
        if module is self.model:
            self._open = False

    def _measure(self, path: str, module: Any, x: Any, y: Any) -> None:
        values = y.detach().double().numpy()
        row: dict[str, Any] = {"step": self.step, "layer": path, "mean": float(values.mean()),
                               "std": float(values.std())}
        for q, value in zip(self.percentiles, np.percentile(values, self.percentiles) if values.size else ()):
            row[f"p{q:g}"] = float(value)
        row["grad_norm"] = None
        if is_batch_norm(module) and module.training and module.running_mean is not None:
            batch = x.detach().double().numpy().reshape(*x.shape[:2], -1)
            row["m"] = batch.shape[0] * batch.shape[2]
            spread = np.sqrt(batch.var(axis=(0, 2)) + module.eps)
            distance = (module.running_mean.double().numpy() - batch.mean(axis=(0, 2))) / spread
            row["gap"] = float(np.sqrt(np.mean(distance ** 2)))
        if y.requires_grad:
            def hook(grad: torch.Tensor) -> None:
                row["grad_norm"] = float(grad.double().norm())
            y.register_hook(hook)
        self.rows.append(row)

    def _write(self) -> None:
        """What the last step gave, to TensorBoard: its gradients are known now."""
        if self._writer is not None:
            for row in self.rows[self._written:]:
                for name, value in row.items():
                    if name not in ("step", "layer") and value is not None:
                        self._writer.add_scalar(f"{row['layer'] or 'model'}/{name}", value, row["step"])
        self._written = len(self.rows)

    def last(self) -> Rows:
        """The rows of the step that was measured last."""
        steps = [row["step"] for row in self.rows]
        return Rows(row for row in self.rows if row["step"] == steps[-1])

    def series(self, layer: str, name: str) -> tuple[list[int], list[Any]]:
        """(steps, values) of one measure of one layer."""
        rows = [row for row in self.rows if row["layer"] == layer and name in row]
        return [row["step"] for row in rows], [row[name] for row in rows]

    def postfix(self) -> dict[str, str]:
        """The last step in a few words, for a progress bar: ``bar.set_postfix(p.postfix())``."""
        shown = {}
        for name in "std", "grad_norm":
            values = [row[name] for row in (self.last() if self.rows else ()) if row[name] is not None]
            if values:
                shown[name] = f"{min(values):.2g}..{max(values):.2g}"
        return shown

    def frame(self) -> dict[str, list[Any]]:
        """All rows as columns, for `pandas.DataFrame`."""
        return self.rows.frame()

    def to_json(self) -> str:
        """All rows as JSON."""
        return json.dumps(list(self.rows))
