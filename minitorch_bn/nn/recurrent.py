"""Recurrent networks (RNN, LSTM, GRU), whole sequences at once or one step at a time (the cells)."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import minitorch_bn as torch
from minitorch_bn.ops.recurrent import STEPS, loop, scan

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter, parameter_if
from .utils.rnn import PackedSequence

Tensor = torch.Tensor
State = tuple  # (h,), or (h, c) for an LSTM
Hidden: TypeAlias = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


def _uniform_parameters(module: Module) -> None:
    """Every parameter uniform in +-1/sqrt(hidden_size), in order of registration."""
    bound = 1.0 / math.sqrt(module.hidden_size) if module.hidden_size > 0 else 0
    for parameter in module.parameters():
        init.uniform_(parameter, -bound, bound)


def _packed_loop(mode: str, gates: Sequence[Tensor], initial: State, recur: Callable[[Tensor], Tensor], reverse: bool,
                 project: Callable[[Tensor], Tensor] | None) -> tuple[Tensor, State]:
    """All steps of one layer of packed sequences, of which the shorter ones end earlier (or begin later)."""
    step = STEPS[mode][0]
    state = tuple(part[:gates[-1].size(0)] for part in initial) if reverse else initial
    ended: list[State] = []
    outputs = []
    for gate in reversed(gates) if reverse else gates:
        running, wanted = state[0].size(0), gate.size(0)
        if running > wanted:
            ended.append(tuple(part[wanted:] for part in state))
            state = tuple(part[:wanted] for part in state)
        elif running < wanted:
            state = tuple(torch.cat([part, start[running:wanted]]) for part, start in zip(state, initial))
        state = step(gate, state, recur)
        if project is not None:
            state = (project(state[0]), *state[1:])
        outputs.append(state[0])
    if ended:
        state = tuple(torch.cat(parts) for parts in zip(state, *reversed(ended)))
    return torch.cat(outputs[::-1] if reverse else outputs), state


def apply_permutation(tensor: Tensor, permutation: Tensor, dim: int = 1) -> Tensor:
    """The tensor with the elements of axis `dim` in another order."""
    return tensor.index_select(dim, permutation)


class RNNBase(Module):
    """What RNN, LSTM and GRU share.

    Shapes: input (L, N, input_size), or (N, L, input_size) with `batch_first`, or (L, input_size); output the same with
    D * H last, D = 2 if bidirectional, H = proj_size or hidden_size; states (D * num_layers, N, H), N absent where the
    input has none. `dropout` applies between the layers. Weights: `weight_ih_l{k}`, `weight_hh_l{k}`, `bias_ih_l{k}`,
    `bias_hh_l{k}`, `weight_hr_l{k}` (projection), each also with `_reverse`.
    """

    def __init__(self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError("dropout should be a number in range [0, 1] representing the probability of an element "
                             "being zeroed")
        if dropout > 0 and num_layers == 1:
            warnings.warn("dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                          f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                          stacklevel=3)
        for name, flag in ("bias", bias), ("batch_first", batch_first), ("bidirectional", bidirectional):
            if not isinstance(flag, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(flag).__name__}")
        for name, value in ("input_size", input_size), ("hidden_size", hidden_size):
            if not isinstance(value, int):
                raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
            if value <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size

        gates = STEPS[mode][1] * hidden_size
        state_size = proj_size or hidden_size
        directions = len(self._suffixes())
        for layer in range(num_layers):
            size = input_size if layer == 0 else directions * state_size
            for suffix in self._suffixes():
                shapes = {"weight_ih": (gates, size), "weight_hh": (gates, state_size), "bias_ih": (gates,),
                          "bias_hh": (gates,), "weight_hr": (proj_size, hidden_size)}
                for name in self._weight_names():
                    self.register_parameter(f"{name}_l{layer}{suffix}",
                                            Parameter(torch.empty(shapes[name], device=device, dtype=dtype)))
        self.reset_parameters()

    def _suffixes(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _weight_names(self) -> list[str]:
        return ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else []),
                *(["weight_hr"] if self.proj_size else [])]

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights of every layer and direction."""
        return [[getattr(self, f"{name}_l{layer}{suffix}") for name in self._weight_names()]
                for layer in range(self.num_layers) for suffix in self._suffixes()]

    def reset_parameters(self) -> None:
        """Draw the weights anew: uniform in +-1/sqrt(hidden_size)."""
        _uniform_parameters(self)

    def flatten_parameters(self) -> None:
        """Accepted so that scripts run: the weights need no common memory here."""

    def _state_sizes(self) -> list[int]:
        return [self.proj_size or self.hidden_size] + ([self.hidden_size] if self.mode == "LSTM" else [])

    def forward(self, input: Tensor | PackedSequence, hx: Hidden | None = None) -> tuple[Any, Hidden]:
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead")
        batched = input.dim() == 3
        states = self._checked_states(input, hx, batched)
        if not batched:
            input = input.unsqueeze(1)
            states = [state.unsqueeze(1) for state in states]
        elif self.batch_first:
            input = input.transpose(0, 1)
        output, states = self._run(input, states)
        if not batched:
            output, states = output.squeeze(1), [state.squeeze(1) for state in states]
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, (states[0], states[1]) if self.mode == "LSTM" else states[0]

    def _forward_packed(self, packed: PackedSequence, hx: Hidden | None) -> tuple[PackedSequence, Hidden]:
        """The same for sequences of different lengths, in the form of `pack_padded_sequence`."""
        input, batch_sizes, sort, unsort = packed
        if input.dim() != 2:
            raise RuntimeError(f"input must have 2 dimensions, got {input.dim()}")
        sizes = batch_sizes.tolist()
        states = self._checked_states(input, hx, True, sizes[0])
        if hx is not None and sort is not None:
            states = [state.index_select(1, sort) for state in states]
        output, states = self._run(input, states, sizes)
        if unsort is not None:
            states = [state.index_select(1, unsort) for state in states]
        return (PackedSequence(output, batch_sizes, sort, unsort),
                (states[0], states[1]) if self.mode == "LSTM" else states[0])

    def _checked_states(self, input: Tensor, hx: Hidden | None, batched: bool,
                        packed: int | None = None) -> list[Tensor]:
        """The initial states, zeros if not given: one tensor per kind of state. `packed`: so many sequences, packed."""
        if input.size(-1) != self.input_size:
            raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {self.input_size}, "
                               f"got {input.size(-1)}")
        weight_dtype = self.weight_ih_l0.dtype
        if input.dtype != weight_dtype:
            raise ValueError(f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight_dtype}). Convert "
                             f"input: input.to({weight_dtype}), or convert model: model.to({input.dtype})")
        size = packed or (input.size(0 if self.batch_first else 1) if batched else 0)
        batch = (size,) if batched else ()
        shapes = [(self.num_layers * len(self._suffixes()), *batch, size) for size in self._state_sizes()]
        if hx is None:
            return [input.new_zeros(shape) for shape in shapes]
        is_lstm = self.mode == "LSTM"
        states: list[Any] = list(hx) if is_lstm else [hx]
        for i, (state, shape) in enumerate(zip(states, shapes)):
            if state.dim() != len(shape):
                name = "hx and cx" if is_lstm else "hx"
                sort = "batched 3-D" if batched else "unbatched 2-D"
                got = " and ".join(f"{s.dim()}-D" for s in states) if is_lstm else f"{state.dim()}-D"
                raise RuntimeError(f"For {sort} input, {name} should also be {len(shape)}-D but got {got} "
                                   f"tensor{'s' if is_lstm else ''}")
            if tuple(state.shape) != shape:
                which = f"hidden[{i}]" if is_lstm else "hidden"
                raise RuntimeError(f"Expected {which} size {shape}, got {list(state.shape)}")
        return states

    def _run(self, x: Tensor, states: list[Tensor], sizes: list[int] | None = None) -> tuple[Tensor, list[Tensor]]:
        """All layers over x (L, N, input_size): the last layer's outputs and the final states.

        With `sizes`, how many sequences still run at each step, x is (sum of sizes, input_size).
        """
        starts = list(zip(*(state.unbind(0) for state in states)))  # per layer and direction: (h,) or (h, c)
        finals: list[State] = []
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes():
                output, final = self._scan(x, starts[len(finals)], f"_l{layer}{suffix}", sizes)
                outputs.append(output)
                finals.append(final)
            x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, [torch.stack(kind) for kind in zip(*finals)]

    def _scan(self, x: Tensor, state: State, suffix: str, sizes: list[int] | None) -> tuple[Tensor, State]:
        """One layer in one direction; the inputs of all steps are multiplied by their weight in one product."""
        weight = {name: getattr(self, name + suffix) for name in self._weight_names()}
        w_hh, b_hh, w_hr = weight["weight_hh"], weight.get("bias_hh"), weight.get("weight_hr")
        gates = F.linear(x, weight["weight_ih"], weight.get("bias_ih"))
        reverse = suffix.endswith("_reverse")
        if sizes is not None:
            return _packed_loop(self.mode, gates.split(sizes), state, lambda h: F.linear(h, w_hh, b_hh), reverse,
                                None if w_hr is None else lambda h: F.linear(h, w_hr))
        if w_hr is None and x.size(0) > 0 and x.dtype in (torch.float32, torch.float64):
            outputs, cells = scan(self.mode, gates, state[0], state[1] if len(state) > 1 else None, w_hh, b_hh, reverse)
        else:
            outputs, cells = loop(self.mode, gates, state, lambda h: F.linear(h, w_hh, b_hh), reverse,
                                  None if w_hr is None else lambda h: F.linear(h, w_hr))
        last = 0 if reverse else -1
        return outputs, (outputs[last],) if cells is None else (outputs[last], cells[last])

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if not self.bias:
            text += f", bias={self.bias}"
        if self.batch_first:
            text += f", batch_first={self.batch_first}"
        if self.dropout:
            text += f", dropout={self.dropout}"
        if self.bidirectional:
            text += f", bidirectional={self.bidirectional}"
        return text


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it (Elman 1990)."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 device: Any = None, dtype: torch.dtype | None = None, **unsupported: Any) -> None:
        _refuse_projection(unsupported)
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first,
                         dropout, bidirectional, 0, device, dtype)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """c' = f * c + i * g, h' = o * tanh(c') with gates of x and h (Hochreiter & Schmidhuber 1997); states (h, c)."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__("LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
                         proj_size, device, dtype)


class GRU(RNNBase):
    """h' = (1 - z) * n + z * h with reset, update and new gates (Cho et al. 2014)."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 device: Any = None, dtype: torch.dtype | None = None, **unsupported: Any) -> None:
        _refuse_projection(unsupported)
        super().__init__("GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0,
                         device, dtype)


def _refuse_projection(options: dict) -> None:
    if "proj_size" in options:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
    if options:
        raise TypeError(f"RNNBase.__init__() got an unexpected keyword argument '{next(iter(options))}'")


class RNNCellBase(Module):
    """One step: input (N, input_size) or (input_size), state (N, hidden_size) or (hidden_size)."""

    _mode: str

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = STEPS[self._mode][1] * hidden_size
        shapes = {"weight_ih": (gates, input_size), "weight_hh": (gates, hidden_size), "bias_ih": (gates,),
                  "bias_hh": (gates,)}
        for name, shape in shapes.items():
            self.register_parameter(name, parameter_if(bias or name.startswith("weight"), shape, device, dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew: uniform in +-1/sqrt(hidden_size)."""
        _uniform_parameters(self)

    def _step(self, input: Tensor, states: list[Tensor | None]) -> State:
        name = self._get_name()
        hidden = "hx[{}]" if len(states) > 1 else "hidden"
        for what, tensor in ("input", input), *((hidden.format(i), state) for i, state in enumerate(states)):
            if tensor is not None and tensor.dim() not in (1, 2):
                raise ValueError(f"{name}: Expected {what} to be 1D or 2D, got {tensor.dim()}D instead")
        if input.size(-1) != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {input.size(-1)} expected {self.input_size}")
        for i, state in enumerate(states):
            if state is None:
                states[i] = input.new_zeros((*input.shape[:-1], self.hidden_size))
            elif state.size(-1) != self.hidden_size:
                raise RuntimeError(f"hidden{i} has inconsistent hidden_size: got {state.size(-1)}, "
                                   f"expected {self.hidden_size}")
            elif state.shape[:-1] != input.shape[:-1]:
                raise RuntimeError(f"Input batch size {input.size(0)} doesn't match hidden{i} batch size "
                                   f"{state.size(0)}")
        gates = F.linear(input, self.weight_ih, self.bias_ih)
        return STEPS[self._mode][0](gates, tuple(states), lambda h: F.linear(h, self.weight_hh, self.bias_hh))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(RNNCellBase):
    """One step of an RNN: (x, h) -> h'."""

    _mode = "RNN_TANH"

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
                 device: Any = None, dtype: torch.dtype | None = None) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity
        if nonlinearity == "relu":
            self._mode = "RNN_RELU"

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(input, [hx])[0]

    def extra_repr(self) -> str:
        kind = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + kind


class LSTMCell(RNNCellBase):
    """One step of an LSTM: (x, (h, c)) -> (h', c')."""

    _mode = "LSTM"

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        return self._step(input, [None, None] if hx is None else list(hx))


class GRUCell(RNNCellBase):
    """One step of a GRU: (x, h) -> h'."""

    _mode = "GRU"

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step(input, [hx])[0]
