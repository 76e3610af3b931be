"""Generators of random numbers: a seed, and the number of draws made so far."""
import os

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from minitorch_bn._core cimport Tensor, dtype_object, new_tensor, raw_contiguous, shape_tuple
from minitorch_bn.kernels.random cimport mtb_draw
from minitorch_bn.kernels.runtime cimport MTB_u8, i64

from minitorch_bn._core import device as device_

cdef uint64_t DEFAULT_SEED = 67280421310721
CPU = device_("cpu")


cdef class Generator:
    """A source of random numbers: ``Generator().manual_seed(0)``; pass it as ``generator=``."""

    def __init__(self, device="cpu"):
        if str(device).partition(":")[0] != "cpu":
            raise RuntimeError(f"device '{device}' is not there: minitorch_bn computes on the CPU only")
        self.state.seed, self.state.offset = DEFAULT_SEED, 0

    @property
    def device(self):
        """Always ``device("cpu")``."""
        return CPU

    def manual_seed(self, seed):
        """Start again from this seed, an integer in [-2**63, 2**64); returns the generator."""
        value = seed if type(seed) is int else int(seed)
        if not -1 << 63 <= value < 1 << 64:
            raise RuntimeError("Overflow when unpacking long: manual_seed expects a seed in [-2**63, 2**64), got "
                               f"{seed}")
        self.state.seed, self.state.offset = value % (1 << 64), 0
        return self

    def seed(self):
        """Start again from a seed that the operating system gives; returns it."""
        self.manual_seed(int.from_bytes(os.urandom(7), "little"))
        return self.initial_seed()

    def initial_seed(self):
        """The seed that the generator started from."""
        return self.state.seed

    def get_state(self):
        """The seed and the number of draws so far, as a tensor of 16 bytes."""
        cdef i64 size = sizeof(mtb_draw)
        cdef Tensor t = new_tensor(MTB_u8, 1, &size)
        memcpy(t.data, &self.state, sizeof(mtb_draw))
        return t

    def set_state(self, Tensor new_state not None):
        """Go back to a state that get_state gave."""
        cdef Tensor t = raw_contiguous(new_state)
        if t.dtype != MTB_u8 or t.numel != sizeof(mtb_draw):
            raise TypeError(f"set_state expects the {sizeof(mtb_draw)} bytes of get_state, got "
                            f"{dtype_object(t.dtype)} of shape {list(shape_tuple(t))}")
        memcpy(&self.state, t.data, sizeof(mtb_draw))
        return self

    def clone_state(self):
        """A new generator in the same state."""
        cdef Generator g = Generator()
        g.state = self.state
        return g

    graphsafe_get_state = clone_state

    def __reduce__(self):
        return _generator_from, (self.state.seed, self.state.offset)


def _generator_from(seed, offset):
    cdef Generator g = Generator()
    g.state.seed, g.state.offset = seed, offset
    return g


default_generator = Generator()


cdef mtb_draw next_draw(object generator) except *:
    """The state for one draw; the generator moves on to the next."""
    cdef Generator g = default_generator if generator is None else generator
    cdef mtb_draw d = g.state
    g.state.offset += 1
    return d


def manual_seed(seed):
    """Start the default generator from this seed."""
    return (<Generator> default_generator).manual_seed(seed)


def seed():
    """Start the default generator from a seed that the operating system gives; returns it."""
    return default_generator.seed()


def initial_seed():
    """The seed that the default generator started from."""
    return default_generator.initial_seed()


def get_rng_state():
    """The default generator's state, as a tensor of bytes."""
    return default_generator.get_state()


def set_rng_state(new_state):
    """Put the default generator back into a state that get_rng_state gave."""
    default_generator.set_state(new_state)


FUNCTIONS = {f.__name__: f for f in (manual_seed, seed, initial_seed, get_rng_state, set_rng_state)}
FUNCTIONS |= {"Generator": Generator, "default_generator": default_generator}
