"""Generators of random numbers: a seed, and the number of draws made so far; or PyTorch's own sequence."""
import os

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from minitorch_bn._core cimport Tensor, dtype_object, new_tensor, raw_contiguous, shape_tuple
from minitorch_bn.kernels.random cimport mtb_draw
from minitorch_bn.kernels.runtime cimport MTB_u8, i64

from minitorch_bn._core import device as device_
from minitorch_bn._core import frombuffer

cdef uint64_t DEFAULT_SEED = 67280421310721
CPU = device_("cpu")


cdef class Generator:
    """A source of random numbers: ``Generator().manual_seed(0)``; pass it as ``generator=``.

    Args:
        device: the CPU.
        stream: "torch" for PyTorch's own numbers, "philox" for those of minitorch_bn, which are faster; None for what
            the default generator has.
    """

    def __init__(self, device="cpu", stream=None):
        if str(device).partition(":")[0] != "cpu":
            raise RuntimeError(f"device '{device}' is not there: minitorch_bn computes on the CPU only")
        if stream is None and default_generator is not None:
            stream = default_generator.get_stream()
        start(self, DEFAULT_SEED, stream)

    def get_stream(self):
        """Whose numbers these are: "torch" or "philox"."""
        return "philox" if self.stream is None else "torch"

    @property
    def device(self):
        """Always ``device("cpu")``."""
        return CPU

    def manual_seed(self, seed, stream=None):
        """Start again from this seed, an integer in [-2**63, 2**64); returns the generator.

        From now on the numbers are PyTorch's own under stream="torch", and minitorch_bn's under stream="philox".
        """
        value = seed if type(seed) is int else int(seed)
        if not -1 << 63 <= value < 1 << 64:
            raise RuntimeError("Overflow when unpacking long: manual_seed expects a seed in [-2**63, 2**64), got "
                               f"{seed}")
        start(self, value % (1 << 64), self.get_stream() if stream is None else stream)
        return self

    def seed(self):
        """Start again from a seed that the operating system gives; returns it."""
        self.manual_seed(int.from_bytes(os.urandom(7), "little"))
        return self.initial_seed()

    def initial_seed(self):
        """The seed that the generator started from."""
        return self.state.seed

    def get_state(self):
        """The seed and the number of draws so far, as a tensor of 16 bytes; under stream="torch", PyTorch's 5056."""
        cdef i64 size = sizeof(mtb_draw)
        if self.stream is not None:
            return frombuffer(bytearray(self.stream.get_state()), dtype=dtype_object(MTB_u8))
        cdef Tensor t = new_tensor(MTB_u8, 1, &size)
        memcpy(t.data, &self.state, sizeof(mtb_draw))
        return t

    def set_state(self, Tensor new_state not None):
        """Go back to a state that get_state gave."""
        cdef Tensor t = raw_contiguous(new_state)
        if t.dtype == MTB_u8 and t.numel > 4096:
            from minitorch_bn.ops.mersenne import Mersenne
            self.stream = Mersenne.from_state((<char*> t.data)[:t.numel])
            self.state.seed, self.state.offset = self.stream.initial_seed, 0
            return self
        if t.dtype != MTB_u8 or t.numel != sizeof(mtb_draw):
            raise TypeError(f"set_state expects the {sizeof(mtb_draw)} bytes of get_state, got "
                            f"{dtype_object(t.dtype)} of shape {list(shape_tuple(t))}")
        memcpy(&self.state, t.data, sizeof(mtb_draw))
        self.stream = None
        return self

    def clone_state(self):
        """A new generator in the same state."""
        return Generator().set_state(self.get_state())

    graphsafe_get_state = clone_state

    def __reduce__(self):
        return _generator_from, (bytes(self.get_state().tolist()),)


def _generator_from(state):
    return Generator().set_state(frombuffer(state, dtype=dtype_object(MTB_u8)))


cdef frozenset STREAMS = frozenset(["philox", "torch"])


cdef int start(Generator g, object seed, object stream) except -1:
    """Let g begin its numbers of that stream from this seed."""
    if stream is not None and stream not in STREAMS:
        raise ValueError(f"stream must be 'torch' or 'philox', got {stream!r}")
    g.state.seed, g.state.offset, g.stream = seed, 0, None
    if stream == "torch":
        from minitorch_bn.ops.mersenne import Mersenne
        g.stream = Mersenne(seed)
    return 0


default_generator = None
default_generator = Generator()


cpdef object stream_of(object generator):
    """The generator's Mersenne, or None; of the default generator if there is no other."""
    cdef Generator g = default_generator if generator is None else generator
    return g.stream


cdef mtb_draw next_draw(object generator) except *:
    """The state for one draw; the generator moves on to the next."""
    cdef Generator g = default_generator if generator is None else generator
    cdef mtb_draw d = g.state
    if g.stream is not None:  # for draws that PyTorch's stream has no rule for
        d.seed, d.offset = int(g.stream.wide_words(1)[0]), 0
        return d
    g.state.offset += 1
    return d


def manual_seed(seed, stream=None):
    """Start the default generator from this seed; with stream="torch", its numbers are PyTorch's own from now on."""
    return (<Generator> default_generator).manual_seed(seed, stream)


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
