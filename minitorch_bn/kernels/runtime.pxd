# What every kernel driver shares: the chosen instruction-set level, how many threads to use, and scratch memory.
from libc.stdint cimport int64_t

ctypedef int64_t i64

cdef extern from "mtb.h" nogil:
    enum:
        MTB_b8
        MTB_u8
        MTB_i8
        MTB_i16
        MTB_i32
        MTB_i64
        MTB_f16
        MTB_bf16
        MTB_f32
        MTB_f64
        MTB_NDTYPES
    ctypedef void (*mtb_cast)(void* dst, const void* src, i64 n) noexcept
    ctypedef void (*mtb_move)(void* dst, i64 dst_step, const void* src, i64 src_step, i64 n) noexcept
    ctypedef void (*mtb_turn)(void* dst, i64 dst_step, const void* src, i64 src_step, i64 rows, i64 cols) noexcept
    ctypedef void (*mtb_loop)(void** p, i64 n, const double* k) noexcept
    ctypedef struct mtb_convert:
        mtb_cast cast[10][10]
        mtb_move move[4]
        mtb_turn turn[4]
        void (*stream)(void* dst, const void* src, i64 n_bytes) noexcept nogil
        void (*count_reals)(double* d, i64 n, i64 first, double start, double step) noexcept nogil
        void (*count_integers)(i64* d, i64 n, i64 first, i64 start, i64 step) noexcept nogil
        mtb_loop half[2]
    ctypedef void (*mtb_number_loop)(void** p, const i64* step, i64 rows, i64 n) noexcept
    ctypedef struct mtb_elementwise:
        mtb_loop value[1]
        mtb_loop grad[1]
        mtb_number_loop number[1]
    # The families of tables; each driver module declares the fields of its own family.
    ctypedef struct mtb_reduce
    ctypedef struct mtb_softmax
    ctypedef struct mtb_gemm
    ctypedef struct mtb_conv
    ctypedef struct mtb_winograd
    ctypedef struct mtb_norm
    ctypedef struct mtb_layernorm
    ctypedef struct mtb_pool
    ctypedef struct mtb_optim
    ctypedef struct mtb_indexing
    ctypedef struct mtb_random
    ctypedef struct mtb_sorting
    ctypedef struct mtb_recurrent
    ctypedef struct mtb_level:
        const char* name
        const mtb_elementwise* elementwise[10]
        const mtb_convert* convert
        const mtb_reduce* reduce[10]
        const mtb_softmax* softmax[2]
        const mtb_gemm* gemm[2]
        const mtb_conv* conv[2]
        const mtb_winograd* winograd
        const mtb_norm* norm[2]
        const mtb_layernorm* layernorm[2]
        const mtb_pool* pool[2]
        const mtb_optim* optim[2]
        const mtb_indexing* indexing[10]
        const mtb_sorting* sorting[10]
        const mtb_random* random[2]
        const mtb_recurrent* recurrent[2]

cdef const mtb_level* K                       # the tables of the chosen level
cdef int team(i64 work) noexcept nogil        # threads for that many element operations: 1 when it would not pay
# Around a region without the GIL: what a tensor gives up meanwhile stays until those that may know it have left.
cdef int enter() noexcept
cdef void leave(int phase) noexcept
cdef bint turn_phase() noexcept               # whether all have left that entered before the last turn: then a new one
cdef void spread() noexcept nogil             # first in a task of a team: off the CPU of the thread that started it

# Independent tasks of one operation, i < count, by the thread team and without the GIL; work: the element operations of
# all. Tasks are cut by constants of the algorithm, never by the number of threads, and each writes memory of its own:
# who runs which makes no difference. Each thread begins with the same part of them in every operation (shares.h).
ctypedef void (*task)(void* plan, i64 i) noexcept nogil
cdef void run_tasks(task body, void* plan, i64 count, i64 work) noexcept
# the same by that many threads, each with `room` bytes of scratch
ctypedef void (*roomy_task)(const void* plan, i64 i, char* scratch) noexcept nogil
cdef void share_tasks(roomy_task body, const void* plan, i64 count, int threads, char* scratch, i64 room) noexcept

cdef inline i64 ceil_div(i64 a, i64 b) noexcept nogil:
    return (a + b - 1) // b

cdef i64 CACHE                                # bytes of the last-level cache
cdef void* take(size_t n) except NULL         # n bytes, 64-byte aligned, from the cache; MemoryError. With the GIL.
cdef void give(void* p, size_t n) noexcept    # back to the cache, with the n of take
cdef int ITEMSIZE[10]                         # bytes of each dtype
