# The state of a generator, and the one step that every draw takes.
from minitorch_bn.kernels.random cimport mtb_draw

cdef class Generator:
    cdef mtb_draw state
    cdef object stream                                 # ops.mersenne.Mersenne under stream="torch", else None
    cdef object __weakref__

cdef mtb_draw next_draw(object generator) except *     # None: the default generator
cpdef object stream_of(object generator)               # its Mersenne, or None
