"""PyTorch's own sequence of random numbers on the CPU: the Mersenne Twister, and how each distribution draws from it.

`manual_seed(n, stream="torch")` chooses it. The raw words come from NumPy's MT19937; what is here says how many words
a number takes, in which order a tensor is filled, and by which formula. Real numbers agree with PyTorch's to the last
bit, apart from float32 normal ones (a few units in the last place, where PyTorch's own builds differ too) and functions
such as log, which may differ in the last place.
"""
from __future__ import annotations

import struct
from typing import Any

import numpy as np

from minitorch_bn import _core
from minitorch_bn._core import DTYPES, Tensor

# The bytes of get_rng_state: seed, words left, seeded, next word, 624 words, and the second number of a normal pair.
_STATE = struct.Struct("<QiiQ624Q3di12x")
_WORDS = 624
_HALVES = (DTYPES["float16"], DTYPES["bfloat16"])
_WIDE_RANGE = 1 << 28  # from here on, an integer takes two words
_MANTISSA = {DTYPES["float16"]: 11, DTYPES["bfloat16"]: 8, DTYPES["float32"]: 24, DTYPES["float64"]: 53}


def _fused(x: np.ndarray, scale: Any, shift: Any) -> np.ndarray:
    """x * scale + shift, rounded once."""
    wide = np.float64 if x.dtype == np.float32 else np.longdouble
    return (x.astype(wide) * wide(scale) + wide(shift)).astype(x.dtype)


class Mersenne:
    """The state of a generator of PyTorch's sequence, and the draws from it; those that fill take the tensor to fill,
    which tells shape, dtype and the order in memory, and return the values."""

    def __init__(self, seed: int = 0) -> None:
        self.initial_seed = seed
        self.bits = np.random.MT19937(0)
        key = np.random.RandomState(seed & 0xFFFFFFFF).get_state(legacy=False)["state"]["key"]
        self._place(key, _WORDS)
        self.next = 0  # what PyTorch's state says before the first word
        self.normal_left: float | None = None  # the second of a pair of normal numbers

    def _place(self, key: Any, position: int) -> None:
        self.bits.state = {"bit_generator": "MT19937", "state": {"key": np.asarray(key, np.uint32), "pos": position}}

    def get_state(self) -> bytes:
        """The state as PyTorch's get_rng_state gives it."""
        state: Any = self.bits.state["state"]
        position = state["pos"]
        left = 1 if position == _WORDS else _WORDS + 1 - position
        following = self.next if position == _WORDS else position
        normal = 0.0 if self.normal_left is None else self.normal_left
        return _STATE.pack(self.initial_seed, left, 1, following, *map(int, state["key"]), 0.0, normal, 0.0,
                           self.normal_left is not None)

    @staticmethod
    def from_state(data: bytes) -> Mersenne:
        """A generator in a state that get_state gave."""
        if len(data) != _STATE.size:
            raise RuntimeError(f"RNG state is wrong size: expected {_STATE.size} bytes, got {len(data)}")
        seed, left, seeded, following, *rest = _STATE.unpack(data)
        key, (_, normal, _, valid) = rest[:_WORDS], rest[_WORDS:]
        if seeded != 1 or not 0 < left <= _WORDS or following > _WORDS or max(key) >> 32:
            raise RuntimeError("Invalid mt19937 state")
        made = Mersenne(seed)
        made._place(key, _WORDS if left == 1 else int(following))
        made.next, made.normal_left = int(following), normal if valid else None
        return made

    # -- raw numbers ---------------------------------------------------------------------------------------------

    def words(self, count: int) -> np.ndarray:
        """The next numbers of 32 bits."""
        if count:
            self.next = _WORDS
        return self.bits.random_raw(count)

    def wide_words(self, count: int) -> np.ndarray:
        """The next numbers of 64 bits, each of two words, the higher one first."""
        pairs = self.words(2 * count).reshape(-1, 2)
        return pairs[:, 0] << np.uint64(32) | pairs[:, 1]

    def singles(self, count: int) -> np.ndarray:
        """float32 numbers of [0, 1), of 24 bits."""
        return (self.words(count) & np.uint64((1 << 24) - 1)).astype(np.float32) * np.float32(2.0 ** -24)

    def doubles(self, count: int) -> np.ndarray:
        """float64 numbers of [0, 1), of 53 bits."""
        return (self.wide_words(count) & np.uint64((1 << 53) - 1)).astype(np.float64) * 2.0 ** -53

    # -- filling -------------------------------------------------------------------------------------------------

    @staticmethod
    def _shaped(like: Tensor, values: np.ndarray, dtype: Any = None) -> Tensor:
        """Values that were drawn in the order of like's memory, in like's shape and (unless told) dtype."""
        flat = _core.from_numpy(values)
        dtype = dtype or like.dtype
        if dtype in _HALVES and flat.is_floating_point():
            flat = flat.float()  # PyTorch rounds twice, too
        flat = flat.to(dtype)
        if like.is_contiguous():
            return flat.view(like.shape)
        strides = like.stride()
        dims = sorted(range(like.dim()), key=lambda d: -strides[d])
        return flat.view([like.shape[d] for d in dims]).permute([dims.index(d) for d in range(like.dim())])

    def uniform(self, like: Tensor, low: float, high: float) -> Tensor:
        """Numbers of [low, high)."""
        kind = np.float64 if like.dtype is DTYPES["float64"] else np.float32
        draw = self.doubles if kind is np.float64 else self.singles
        values = self._shaped(like, _fused(draw(like.numel()), kind(high) - kind(low), kind(low)))
        if high > low:
            end = _core.scalar_tensor_(kind(high).item(), dtype=like.dtype)
            values = _core.where(values == end, _core.scalar_tensor_(kind(low).item(), dtype=like.dtype), values)
        return values

    def normal(self, like: Tensor, mean: float, std: float) -> Tensor:
        """Numbers of N(mean, std**2): 16 at a time in a large contiguous tensor, else two at a time."""
        count = like.numel()
        if count < 16 or not like.is_contiguous():
            return self._shaped(like, _fused(self._pairs(count), std, mean))
        draw = self.doubles if like.dtype is DTYPES["float64"] else self.singles
        whole = count // 16 * 16
        if like.dtype in _HALVES:
            uniform = draw(whole)
        else:
            uniform = draw(count)[:whole]
        values = np.empty(count, uniform.dtype)
        values[:whole] = self._box_muller(uniform, mean, std)
        if whole < count:  # the last 16 once more, from fresh numbers
            values[-16:] = self._box_muller(draw(16), mean, std)
        return self._shaped(like, values)

    @staticmethod
    def _box_muller(uniform: np.ndarray, mean: float, std: float) -> np.ndarray:
        """16 normal numbers for 16 uniform ones: radii from the first eight, angles from the others."""
        kind = uniform.dtype.type
        blocks = uniform.reshape(-1, 2, 8)
        logs = np.log((kind(1) - blocks[:, 0]).astype(np.float64)).astype(kind)  # float32: rounded once, as is the rest
        radius = np.sqrt(kind(-2) * logs)
        angle = (kind(2 * np.pi) * blocks[:, 1]).astype(np.float64)
        waves = np.stack([np.cos(angle), np.sin(angle)], 1).astype(kind)
        return _fused(radius[:, None] * waves, kind(std), kind(mean)).reshape(-1)

    def _pairs(self, count: int) -> np.ndarray:
        """Standard normal float64 numbers two at a time; one that is left waits for the next call."""
        waiting = [] if self.normal_left is None or not count else [self.normal_left]
        if waiting:
            self.normal_left = None
        pairs = (count - len(waiting) + 1) // 2
        uniform = self.doubles(2 * pairs)
        radius, angle = np.sqrt(-2 * np.log1p(-uniform[1::2])), 2 * np.pi * uniform[::2]
        values = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)
        if len(waiting) + len(values) > count:
            self.normal_left = float(values[-1])
        return np.concatenate([np.array(waiting, np.float64), values])[:count]

    def exponential(self, like: Tensor, rate: float) -> Tensor:
        """Numbers of density rate * exp(-rate * x)."""
        return self._shaped(like, -1.0 / rate * np.log1p(-self.doubles(like.numel())))

    def log_normal(self, like: Tensor, mean: float, std: float) -> Tensor:
        """exp of numbers of N(mean, std**2)."""
        return self._shaped(like, np.exp(_fused(self._pairs(like.numel()), std, mean)))

    def cauchy(self, like: Tensor, median: float, sigma: float) -> Tensor:
        """median + sigma * tan(pi * (u - 1/2))."""
        return self._shaped(like, _fused(np.tan(np.pi * (self.doubles(like.numel()) - 0.5)), sigma, median))

    def geometric(self, like: Tensor, p: float) -> Tensor:
        """The number of tosses up to the first success."""
        with np.errstate(divide="ignore"):
            return self._shaped(like, np.ceil(np.log(self.doubles(like.numel())) / np.log1p(-p)))

    def tosses(self, like: Tensor, p: float) -> Tensor:
        """A bool tensor of like's shape, True at probability p."""
        return self._shaped(like, self.doubles(like.numel()) < p, DTYPES["bool"])

    def integers(self, like: Tensor, low: int, high: int) -> Tensor:
        """Integers of [low, high)."""
        span = high - low
        if span >= 1 << 64:
            values = self.wide_words(like.numel())
        else:
            draw = self.wide_words if span >= _WIDE_RANGE else self.words
            values = draw(like.numel()) % np.uint64(span) + np.uint64(low % (1 << 64))
        return self._shaped(like, values.view(np.int64))

    def whole_range(self, like: Tensor) -> Tensor:
        """Integers from 0 to the largest that the dtype holds with all below it."""
        count, dtype = like.numel(), like.dtype
        if dtype in _MANTISSA:
            span = (1 << _MANTISSA[dtype]) + 1
        else:
            span = 2 if dtype is DTYPES["bool"] else 1 << 8 * dtype.itemsize - dtype.is_signed
        draw = self.wide_words if dtype.itemsize == 8 else self.words
        return self._shaped(like, (draw(count) % np.uint64(span)).view(np.int64))

    # -- sampling ------------------------------------------------------------------------------------------------

    def permutation(self, count: int) -> Tensor:
        """0 .. count-1 in random order, by count - 1 swaps."""
        order = list(range(count))
        left = np.arange(count, 1, -1, dtype=np.uint64)
        draw = self.words if count < (1 << 32) // 20 else self.wide_words
        for i, step in enumerate((draw(max(count - 1, 0)) % left).tolist()):
            order[i], order[i + step] = order[i + step], order[i]
        return _core.from_numpy(np.array(order, np.int64))

    def multinomial(self, weights: Tensor, count: int, replacement: bool) -> Tensor:
        """`count` indices for each row of weights (..., C)."""
        if not replacement or count == 1:
            race = weights / self.exponential(_core.empty_like(weights), 1)
            return race.argmax(-1, True) if count == 1 else race.topk(count, -1)[1]
        rows = weights.reshape(-1, weights.shape[-1])
        rows = rows.float() if rows.dtype in _HALVES else rows
        chosen = np.empty((rows.shape[0], count), np.int64)
        for i, row in enumerate(rows.numpy()):
            edges = np.cumsum(row)
            edges /= edges[-1]
            edges[-1] = 1
            chosen[i] = np.searchsorted(edges.astype(np.float64), self.doubles(count))
        return _core.from_numpy(chosen).reshape(*weights.shape[:-1], count)
