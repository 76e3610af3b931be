"""Batch normalization in recurrent networks: statistics for every time step, and the LSTM made with it.

Cooijmans, Ballas, Laurent, Gulcehre & Courville, "Recurrent Batch Normalization" (2016). The first steps of a sequence
have statistics of their own, so each step up to `max_length` keeps a set; gamma is shared, and starts at 0.1, because
tanh passes hardly any gradient to inputs of unit variance.
"""

from __future__ import annotations

import math
from typing import Any

import minitorch_bn as torch
from minitorch_bn.nn import functional as F
from minitorch_bn.nn import init
from minitorch_bn.nn.containers import ModuleList
from minitorch_bn.nn.module import Module
from minitorch_bn.nn.norm import BatchNorm1d
from minitorch_bn.nn.parameter import Parameter

from . import core
from .policy import explained, held

Tensor = torch.Tensor
State = tuple[Tensor, Tensor]


class RecurrentBatchNorm(Module):
    """Batch norm of the values (N, C) of time step t: `norm(x, t)`; `norm.sequence(x)` does (N, T, C) at once.

    Steps from `max_length` on share the last set of statistics. One weight (initialized to `gamma`) and bias for all.
    """

    def __init__(self, num_features: int, max_length: int, eps: float = 1e-5, momentum: float | None = 0.1,
                 gamma: float = 0.1, bias: bool = True, device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        if max_length < 1:
            raise ValueError(f"max_length must be at least 1, got {max_length}")
        self.num_features, self.max_length = num_features, max_length
        self.eps, self.momentum, self.gamma = eps, momentum, gamma
        new: Any = {"device": device, "dtype": dtype}
        self.weight = Parameter(torch.full((num_features,), gamma, **new))
        self.register_parameter("bias", Parameter(torch.zeros(num_features, **new)) if bias else None)
        self.register_buffer("running_mean", torch.zeros(max_length, num_features, **new))
        self.register_buffer("running_var", torch.ones(max_length, num_features, **new))
        self.register_buffer("num_batches_tracked", torch.zeros(max_length, dtype=torch.long))

    def plain(self, t: int) -> BatchNorm1d:
        """A plain batch norm with a copy of the state of step t."""
        made = BatchNorm1d(self.num_features, self.eps, self.momentum, bias=self.bias is not None)
        row = min(t, self.max_length - 1)
        with torch.no_grad():
            made.weight.copy_(self.weight)
            if self.bias is not None:
                made.bias.copy_(self.bias)
            for name in "running_mean", "running_var", "num_batches_tracked":
                getattr(made, name).copy_(getattr(self, name)[row])
        return made

    def _remember(self, found: core.Moments, t: int) -> None:
        row = min(t, self.max_length - 1)
        core.update(self.running_mean[row], self.running_var[row], self.num_batches_tracked[row], found, self.momentum)

    def forward(self, input: Tensor, t: int) -> Tensor:
        return self.sequence(input.unsqueeze(1), t).squeeze(1)

    def sequence(self, input: Tensor, start: int = 0) -> Tensor:
        """Batch norm of (N, T, C): of every step from `start` on by its own statistics, in one call of the kernel."""
        n, steps, c = input.shape
        flat = input.reshape(n, steps * c)
        weight, bias = (None if p is None else p.repeat(steps) for p in (self.weight, self.bias))
        if self.training:
            try:
                y, found = core.normalize(flat, weight, bias, self.eps)
            except ValueError as error:
                raise explained(self, error) from None
            if not held(self):
                mean, m2 = found.mean.reshape(steps, c), found.m2.reshape(steps, c)
                for t in range(steps):
                    self._remember(core.Moments(found.n, mean[t], m2[t]), start + t)
        else:
            rows = torch.arange(start, start + steps).clamp(max=self.max_length - 1)
            mean, var = (r[rows].reshape(-1) for r in (self.running_mean, self.running_var))
            y = F.batch_norm(flat, mean, var, weight, bias, False, 0.0, self.eps)
        return y.reshape(n, steps, c)

    def extra_repr(self) -> str:
        return (f"{self.num_features}, max_length={self.max_length}, eps={self.eps}, momentum={self.momentum}, "
                f"gamma={self.gamma}, bias={self.bias is not None}")


class BNLSTMCell(Module):
    """One step of a batch-normalized LSTM: `cell(x, (h, c), t)` gives the next (h, c); x (N, input_size).

    (i, f, g, o) = BN(W_ih x) + BN(W_hh h) + bias; c' = sigmoid(f) c + sigmoid(i) tanh(g); h' = sigmoid(o) tanh(BN(c')).
    """

    def __init__(self, input_size: int, hidden_size: int, max_length: int, gamma: float = 0.1, eps: float = 1e-5,
                 momentum: float | None = 0.1, device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.max_length = input_size, hidden_size, max_length
        new: Any = {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(torch.empty(4 * hidden_size, input_size, **new))
        self.weight_hh = Parameter(torch.empty(4 * hidden_size, hidden_size, **new))
        self.bias = Parameter(torch.zeros(4 * hidden_size, **new))
        self.bn_ih = RecurrentBatchNorm(4 * hidden_size, max_length, eps, momentum, gamma, False, **new)
        self.bn_hh = RecurrentBatchNorm(4 * hidden_size, max_length, eps, momentum, gamma, False, **new)
        self.bn_c = RecurrentBatchNorm(hidden_size, max_length, eps, momentum, gamma, **new)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weights uniform within 1 / sqrt(hidden_size), bias 0."""
        for weight in self.weight_ih, self.weight_hh:
            init.uniform_(weight, -1 / math.sqrt(self.hidden_size), 1 / math.sqrt(self.hidden_size))
        init.zeros_(self.bias)

    def _initial(self, input: Tensor, state: State | None) -> State:
        if state is not None:
            return state
        zero = torch.zeros(input.size(0), self.hidden_size, dtype=self.weight_hh.dtype)
        return zero, zero

    def _step(self, from_input: Tensor, state: State, t: int) -> State:
        h, c = state
        gates = from_input + self.bn_hh(F.linear(h, self.weight_hh), t) + self.bias
        i, f, g, o = gates.chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * self.bn_c(c, t).tanh(), c

    def forward(self, input: Tensor, state: State | None = None, t: int = 0) -> State:
        return self._step(self.bn_ih(F.linear(input, self.weight_ih), t), self._initial(input, state), t)

    def sequence(self, input: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """All steps of (N, T, input_size): h of each, (N, T, hidden_size), and the last state."""
        state, outputs = self._initial(input, state), []
        for t, x in enumerate(self.bn_ih.sequence(F.linear(input, self.weight_ih)).unbind(1)):
            state = self._step(x, state, t)
            outputs.append(state[0])
        return torch.stack(outputs, 1), state

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, max_length={self.max_length}"


class BNLSTM(Module):
    """A batch-normalized LSTM: `output, (h, c) = lstm(x)`; shapes and arguments are those of `nn.LSTM`.

    All sequences of a batch have one length; step 0 of a call is step 0 of the statistics.
    """

    def __init__(self, input_size: int, hidden_size: int, max_length: int, num_layers: int = 1, gamma: float = 0.1,
                 batch_first: bool = False, eps: float = 1e-5, momentum: float | None = 0.1, device: Any = None,
                 dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.batch_first = batch_first
        self.layers = ModuleList([BNLSTMCell(hidden_size if i else input_size, hidden_size, max_length, gamma, eps,
                                             momentum, device, dtype) for i in range(num_layers)])

    def forward(self, input: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        if input.dim() != 3 or input.size(0 if not self.batch_first else 1) == 0:
            raise ValueError(f"BNLSTM: expected a batch of sequences of at least one step, got {tuple(input.shape)}")
        x, last = input if self.batch_first else input.transpose(0, 1), []
        for i, cell in enumerate(self.layers):
            x, end = cell.sequence(x, None if state is None else (state[0][i], state[1][i]))
            last.append(end)
        h, c = (torch.stack([end[k] for end in last]) for k in range(2))
        return x if self.batch_first else x.transpose(0, 1), (h, c)
