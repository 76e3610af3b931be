"""What the doctor measures: a few training steps without an update, and the same batches in evaluation.

No rule is decided here. Statistics are float64, of each call's own input.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import minitorch_bn as torch
from minitorch_bn.nn.norms.policy import Policy, ghost_sizes
from minitorch_bn.nn.parameter import is_lazy
from minitorch_bn.nn.utils.folding import fold_norm
from minitorch_bn.nn.utils.recalibration import _values

from .._watch import batches_of, is_batch_norm, is_weight_layer, split_batch, tensors_in, watching

Compute = Callable[[Any, Any], torch.Tensor]


class CouldNotRun(RuntimeError):
    """The probe itself failed: there is nothing to say about the network."""


def per_channel(module: Any, x: torch.Tensor, keywords: Any = None) -> np.ndarray:
    """(N, C, S) in float64 of what a batch norm reads or gives; of the positions that its mask leaves, S = 1."""
    array = _values(module, x.detach(), (keywords or {}).get("mask")).double().numpy()
    return array.reshape(*array.shape[:2], -1) if array.size else array.reshape(*array.shape[:2], 0)


class Normed:
    """A batch norm: what its inputs were in the training steps, and the gradients at its output."""

    def __init__(self, path: str, module: Any) -> None:
        self.path = path
        self.module = module
        self.policy = module._policy or Policy()
        self.training = False  # by the batch, in the training probe
        self.calls: list[int] = []  # in each step: how often it normalized by the batch
        self.recomputed = 0  # how many of these in backward
        self.advance: list[int] = []  # in each step: calls that moved num_batches_tracked
        self.counts: list[int] = []  # values per channel, per first call
        self.m = 0  # values per channel of one set of statistics: of a batch, or of a virtual one
        self.means: list[np.ndarray] = []
        self.variances: list[np.ndarray] = []  # biased
        self.sample_means: list[np.ndarray] = []  # per batch: mean over its samples' means
        self.sample_spread: list[np.ndarray] = []  # per batch: variance of its samples' means
        self.constant = 0.0  # share of positions at one end that hold the same values in all channels
        self.constant_shift = 0.0  # what they do to the mean, in standard deviations of the rest
        self.plain_variances: list[np.ndarray] = []  # with all but batch norms in evaluation
        self.grad_zero, self.grad_count = np.zeros(module.num_features), 0
        self.grad_sum, self.grad_squares = np.zeros(module.num_features), np.zeros(module.num_features)
        self.grad_constant: list[np.ndarray] = []  # per step and channel: std / rms of the gradient at the output
        tracked = [getattr(module, name, None) for name in ("running_mean", "running_var", "num_batches_tracked")]
        values = [None if t is None else t.detach().double().numpy().copy() for t in tracked]
        self.running_mean, self.running_var = values[0], values[1]
        self.updates = None if values[2] is None else int(values[2])
        self.moved = 0.0  # how far a step moved the running mean, in standard deviations

    def take_input(self, x: torch.Tensor, keywords: Any) -> None:
        """The statistics of one batch."""
        values = per_channel(self.module, x, keywords)
        own = values.mean(axis=2)  # N, C
        self.counts.append(values.shape[0] * values.shape[2])
        samples = min(ghost_sizes(len(values), self.policy.ghost)) if self.policy.ghost else len(values)
        self.m = max(self.m, samples * values.shape[2])
        self.means.append(own.mean(axis=0))
        self.variances.append(((values - self.means[-1][:, None]) ** 2).mean(axis=(0, 2)))
        self.sample_means.append(self.means[-1])
        self.sample_spread.append(own.var(axis=0, ddof=1) if len(own) > 1 else own[0] * 0)
        if len(self.counts) == 1 and (keywords or {}).get("mask") is None:
            self.constant, self.constant_shift = constant_share(values)

    def take_gradient(self, grad: torch.Tensor) -> None:
        """The gradient of the loss at the output."""
        values = per_channel(self.module, grad)
        self.grad_zero += (values == 0).sum(axis=(0, 2))
        self.grad_count += values.shape[0] * values.shape[2]
        squares = (values ** 2).mean(axis=(0, 2))
        with np.errstate(invalid="ignore", divide="ignore"):
            self.grad_constant.append(np.where(squares > 0, values.std(axis=(0, 2)) / np.sqrt(squares), np.nan))

    def population(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of everything that it read, by the law of total variance."""
        weights = np.array(self.counts)[:, None] / sum(self.counts)
        means, variances = np.array(self.means), np.array(self.variances)
        mean = (weights * means).sum(axis=0)
        return mean, (weights * (variances + (means - mean) ** 2)).sum(axis=0)


class Weighted:
    """A linear layer or convolution: the gradients of its parameters and at its output, and who reads the output."""

    def __init__(self, path: str, module: Any) -> None:
        self.path = path
        self.module = module
        self.readers: set[str] = set()  # modules that got the very output
        self.log_norms: list[float] = []  # of the weight's gradient
        self.mass: Any = 0.0  # per channel: sum of the gradient's magnitudes at the output
        self.bias_grad: Any = 0.0  # per channel: sum of the bias's gradient's magnitudes

    def take_gradient(self, grad: torch.Tensor) -> None:
        """The gradient of the loss at the output."""
        values = np.abs(grad.detach().double().numpy())
        axis = -1 if isinstance(self.module, torch.nn.Linear) else values.ndim - (self.module.weight.dim() - 1)
        self.mass = self.mass + np.moveaxis(values, axis, 0).reshape(self.module.bias.numel(), -1).sum(axis=1)

    def take_parameters(self) -> None:
        """What a step left at the weight and the bias."""
        bias, grad = getattr(self.module, "bias", None), self.module.weight.grad
        if bias is not None and bias.grad is not None:
            self.bias_grad = self.bias_grad + np.abs(bias.grad.double().numpy())
        norm = 0.0 if grad is None else float(grad.double().norm())
        if 0 < norm < np.inf:
            self.log_norms.append(float(np.log(norm)))


def constant_share(values: np.ndarray) -> tuple[float, float]:
    """What padding does: positions at one end of samples that are equal in all channels; (share, shift of the mean).

    `values` are (N, C, S). The most frequent vector over C is looked for in a run at the end (or the start) of each
    sample; what stands at the other end in the same way, a background, is subtracted. Without positions (S = 1) it is
    looked for among the samples.
    """
    n, c, s = values.shape
    if n * s < 4 or c < 2:
        return 0.0, 0.0
    rows = np.ascontiguousarray(values.transpose(0, 2, 1)).reshape(n * s, c)
    keys = rows.view(np.dtype((np.void, rows.itemsize * c))).ravel()
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    same = (inverse.reshape(-1) == counts.argmax()).reshape(n, s)
    if s == 1:
        share = (counts.max() - (np.partition(counts, -2)[-2] if len(counts) > 1 else 0)) / n
        same = same if share > 0 else np.zeros_like(same)
    else:
        ends = [np.minimum.accumulate(run, axis=1) for run in (same[:, ::-1], same)]
        sizes = [end.mean() for end in ends]
        share = max(sizes) - min(sizes)
        same = ends[0][:, ::-1] if sizes[0] >= sizes[1] else ends[1]
    rest = rows[~same.reshape(-1)]
    if share <= 0 or not len(rest):
        return max(float(share), 0.0), 0.0
    spread = rest.std(axis=0)
    shift = np.abs(rows.mean(axis=0) - rest.mean(axis=0))[spread > 0] / spread[spread > 0]
    return float(share), float(shift.mean()) if len(shift) else 0.0


class Evidence:
    """All that was measured, for the rules to judge."""

    def __init__(self, model: Any, loader: Any, optimizer: Any, accumulate: int, compute: Compute | None) -> None:
        if any(is_lazy(t) for t in (*model.parameters(), *model.buffers())):
            raise CouldNotRun("the model has lazy layers whose shapes are not known yet: run a batch through it first")
        self.model = model
        self.compute = compute
        self.loader = loader
        self.optimizer = optimizer
        self.accumulate = accumulate
        self.norms = {name: Normed(name, m) for name, m in model.named_modules() if is_batch_norm(m)}
        self.weights = {name: Weighted(name, m) for name, m in model.named_modules() if is_weight_layer(m)}
        self.leaves = {name for name, m in model.named_modules() if not m._modules}
        self.order: list[str] = []  # leaf modules as they first ran
        self.single: str | None = None  # the batch norm that got one value per channel
        self.batch_size = self.tail = self.steps = 0
        self.loss_train = self.loss_eval = float("nan")
        self.fold_pairs: list[tuple[str, str]] = []  # (weight layer, batch norm right after it)
        self.fold_error: float | None = None
        self.fold_culprits: list[tuple[str, str, float]] = []

    def run(self, batch: Any) -> Any:
        """The model's output for a batch (or its loss, where the form of batches is the user's)."""
        return self.model(*split_batch(batch)[0]) if self.compute is None else self.compute(self.model, batch)

    def trained(self) -> list[Normed]:
        """The batch norms that normalized by the batch in the probe."""
        return [norm for norm in self.norms.values() if norm.counts]


def size_of(batch: Any) -> int:
    """How many samples a batch has."""
    tensors = [t for t in tensors_in(batch) if t.dim()]
    return tensors[0].shape[0] if tensors else 0


def sizes_of(loader: Any, seen: list[int], exhausted: bool) -> tuple[int, int]:
    """(batch size, size of an incomplete last batch or 0), from the loader's settings, or from what was seen of it."""
    full = max(seen)
    size = getattr(loader, "batch_size", None)
    sampler = getattr(loader, "sampler", None)
    try:
        if isinstance(size, int) and sampler is not None:
            return size, 0 if getattr(loader, "drop_last", False) else len(sampler) % size
        last = seen[-1] if exhausted else size_of(loader[-1]) if isinstance(loader, Sequence) else full
    except TypeError:
        last = seen[-1] if exhausted else full
    return full, last if last < full else 0


def examine(ev: Evidence, loader: Iterable[Any], loss_fn: Any, steps: int) -> None:
    """Run the probe. The model is left in another state than before: see `untouched`."""
    model = ev.model
    try:
        batches, exhausted = batches_of(loader, steps)
        if not batches:
            raise CouldNotRun("the loader gave no batch")
        ev.batch_size, ev.tail = sizes_of(loader, [size_of(b) for b in batches], exhausted)
        full = [b for b in batches if size_of(b) >= ev.batch_size] or batches

        def loss_of(batch: Any) -> torch.Tensor:
            return ev.run(batch) if ev.compute is not None else loss_fn(ev.run(batch), *split_batch(batch)[1])

        if not model.training:
            model.train()
        modes = [(m, m.training) for m in model.modules()]
        losses = []
        for batch in full:
            losses.append(_training_step(ev, loss_of, batch))
            if ev.single:
                return
        ev.loss_train, ev.steps = float(np.mean(losses)), len(full)
        _without_noise(ev, loss_of, full[:4])
        for module, mode in modes:
            module.training = mode
        _restore_statistics(ev)
        model.eval()
        with torch.no_grad():
            ev.loss_eval = float(np.mean([float(loss_of(batch)) for batch in full]))
        _fold(ev, lambda: ev.run(full[0]))
    except CouldNotRun:
        raise
    except Exception as error:
        raise CouldNotRun(f"{type(error).__name__}: {error}") from error


def _training_step(ev: Evidence, loss_of: Callable[[Any], torch.Tensor], batch: Any) -> float:
    """Forward and backward of one batch, watched; the parameters do not change."""
    kept: list[Any] = []  # the outputs, so that no other tensor gets the identity of one
    producers: dict[int, Weighted] = {}
    backward = False
    calls = dict.fromkeys(ev.norms, 0)
    before = {name: _tracked(norm.module) for name, norm in ev.norms.items()}
    means = {name: _running(norm.module) for name, norm in ev.norms.items()}

    def entering(path: str, module: Any, x: Any, keywords: Any) -> None:
        if path in ev.norms and isinstance(x, torch.Tensor):
            norm = ev.norms[path]
            norm.training = module.training and not norm.policy.frozen
            if norm.training and norm.policy.on_single == "error" and 0 < x.numel() == module.num_features:
                ev.single = path
            if not norm.training or ev.single:
                return
            calls[path] += 1
            if backward:
                norm.recomputed += 1
            elif calls[path] == 1 and x.numel():
                norm.take_input(x, keywords)
        if not backward and id(x) in producers and path in ev.leaves:
            producers[id(x)].readers.add(path)

    def leaving(path: str, module: Any, x: Any, y: Any) -> None:
        if backward or not isinstance(y, torch.Tensor):
            return
        if path in ev.leaves and path not in ev.order:
            ev.order.append(path)
        found: Any = ev.norms[path] if path in ev.norms and module.training and _bare(module) else None
        weighted = ev.weights.get(path)
        if weighted is not None:
            kept.append(y)
            producers[id(y)] = weighted
            found = None if getattr(module, "bias", None) is None else weighted
        if found is not None and y.requires_grad:
            y.register_hook(found.take_gradient)

    for parameter in ev.model.parameters():
        parameter.grad = None
    with torch.enable_grad(), watching(ev.model, leaving, entering):
        try:
            loss = loss_of(batch)
            backward = True
            if loss.requires_grad:
                loss.backward()
        except ValueError:
            if ev.single:
                return float("nan")
            raise
    for name, norm in ev.norms.items():
        norm.calls.append(calls[name])
        norm.advance.append(min(_tracked(norm.module) - before[name], calls[name]))  # ghosts count one by one
        mean = _running(norm.module)
        if mean is not None and norm.running_var is not None:
            spread = np.sqrt(np.abs(norm.running_var) + norm.module.eps)
            norm.moved = max(norm.moved, float(np.max(np.abs(mean - means[name]) / spread, initial=0.0)))
    for weighted in ev.weights.values():
        weighted.take_parameters()
    return float(loss)


def _bare(module: Any) -> bool:
    """Whether a batch norm's output is that of the normalization, with no activation behind it."""
    return getattr(module, "act", None) is None


def _tracked(module: Any) -> int:
    count = getattr(module, "num_batches_tracked", None)
    return 0 if count is None else int(count)


def _running(module: Any) -> np.ndarray | None:
    mean = getattr(module, "running_mean", None)
    return None if mean is None else mean.detach().double().numpy().copy()


def _without_noise(ev: Evidence, loss_of: Callable[[Any], torch.Tensor], batches: list[Any]) -> None:
    """The variances that batch norms read when all but them is in evaluation: without dropout and its kind."""
    for module in ev.model.modules():
        if not is_batch_norm(module):
            module.training = False
    seen: set[str] = set()

    def entering(path: str, module: Any, x: Any, keywords: Any) -> None:
        if path in ev.norms and path not in seen and ev.norms[path].counts and isinstance(x, torch.Tensor):
            seen.add(path)
            ev.norms[path].plain_variances.append(per_channel(module, x, keywords).var(axis=(0, 2)))

    with torch.no_grad(), watching(ev.model, before=entering):
        for batch in batches:
            seen.clear()
            loss_of(batch)


def _restore_statistics(ev: Evidence) -> None:
    """The running statistics as they were before the training steps."""
    with torch.no_grad():
        for norm in ev.norms.values():
            for name in "running_mean", "running_var":
                own, was = getattr(norm.module, name, None), getattr(norm, name)
                if own is not None:
                    own.copy_(torch.from_numpy(was.copy()))


def _fold(ev: Evidence, run: Callable[[], Any]) -> None:
    """How far the output of evaluation changes when each batch norm is folded into the layer right before it."""
    producers: dict[int, str] = {}
    kept: list[Any] = []
    calls: dict[str, int] = {}
    pairs: list[tuple[str, str]] = []

    def leaving(path: str, module: Any, x: Any, y: Any) -> None:
        calls[path] = calls.get(path, 0) + 1
        if path in ev.weights:
            producers[id(y)] = path
            kept.append(y)
        elif (path in ev.norms and id(x) in producers and module.running_var is not None and _bare(module)
              and ev.norms[path].policy.axis == 1):
            layer = ev.weights[producers[id(x)]].module
            if isinstance(layer, torch.nn.Linear) and (x.dim() != 2 or layer.out_features != module.num_features):
                return  # the channels are not the layer's features
            pairs.append((producers[id(x)], path))

    def output(chosen: list[tuple[str, str]]) -> np.ndarray:
        fused = {weight: fold_norm(ev.weights[weight].module, ev.norms[norm].module) for weight, norm in chosen}
        folded = {norm for _, norm in chosen}
        with watching(ev.model, lambda path, module, x, y: fused[path].forward(x) if path in fused
                      else x if path in folded else None):
            return _flat(run())

    with torch.no_grad():
        with watching(ev.model, leaving):
            expected = _flat(run())
        kept.clear()
        pairs[:] = [pair for pair in pairs if all(calls[path] == 1 for path in pair)]
        ev.fold_pairs = pairs
        scale = float(np.abs(expected).max(initial=0.0))
        if not pairs or not 0 < scale < np.inf:
            return

        def error(chosen: list[tuple[str, str]]) -> float:
            return float(np.abs(output(chosen) - expected).max()) / scale

        ev.fold_error = error(pairs)
        if not ev.fold_error < 1e-6:  # rounding: no need to look for the layer
            ev.fold_culprits = [(*pair, error([pair])) for pair in pairs]


def _flat(value: Any) -> np.ndarray:
    parts = [t.detach().double().numpy().ravel() for t in tensors_in(value)]
    return np.concatenate(parts) if parts else np.zeros(0)
