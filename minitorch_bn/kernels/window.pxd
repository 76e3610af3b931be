# The window of a convolution: taps that slide over a source, and the grid of output positions, cut into blocks.
from minitorch_bn.kernels.matmul cimport mtb_gemm
from minitorch_bn.kernels.runtime cimport i64

cdef extern from "mtb.h" nogil:
    ctypedef struct mtb_conv_axis:
        i64 size, step, begin, length, phases
        const i64* origin
    ctypedef struct run "mtb_conv_run":  # consecutive positions that are also consecutive in the padded block
        i64 source "from"
        i64 to, count
    ctypedef struct mtb_conv:
        i64 vl, lanes
        void (*pad)(void* dst, const void* src, i64 apart, i64 planes, const void* end, const mtb_conv_axis* rows,
                    const mtb_conv_axis* columns) noexcept nogil
        void (*unfold)(void* dst, i64 width, const void* src, const i64* at, i64 k, const i64* source, const i64* to,
                       i64 pieces) noexcept nogil
        void (*slide)(void* dst, i64 ldd, const i64* source, const i64* to, i64 pieces, const void* w, i64 m,
                      const void* src, const i64* at, i64 k, const void* bias) noexcept nogil
        void (*dots)(void* sums, const void* dy, const void* src, const i64* at, i64 k, const run* runs, i64 n_runs,
                     int add) noexcept nogil
        void (*fold)(void* dst, const void* sums, i64 rows, i64 parts, i64 part_size) noexcept nogil
        void (*merge)(void* dst, i64 ldd, const void* src, i64 lds, i64 rows, i64 columns, i64 parts,
                      i64 part_size) noexcept nogil
        void (*gather)(void* dst, i64 n, const void* src, i64 apart, const i64* at, i64 k) noexcept nogil
        void (*weave)(void* dst, i64 step, const void* src, i64 pitch, i64 phases, i64 n) noexcept nogil
    # Up to three spatial axes; absent leading axes have size 1, kernel 1, stride 1. y[o] reads x[o * stride - pad_lo +
    # k * dilation], and 0 outside of x; so `out` decides how much padding there is behind.
    ctypedef struct conv_geometry "mtb_conv_geometry":
        i64 n, c_in, c_out, groups
        i64 in_ "in"[3]
        i64 out[3]
        i64 kernel[3]
        i64 stride[3]
        i64 pad_lo[3]
        i64 dilation[3]

# The source is not x but, channel by channel, ((x - mean) - mean's rest) * scale + shift (api/norm.h: params, `apart`
# from one parameter to the next), and its ReLU.
cdef struct channel_map:
    const float* params
    i64 apart
    bint relu

# What is gathered of each plane of a result y, while it is in cache: the two numbers of moments_parts (api/norm.h); or
# if y is the gradient of an x mapped as above, those of backward_sums_runs. Planes that are parts: see norm.pxd.
cdef struct gathering:
    double* sums             # (n, channels, 2)
    const float* x           # NULL: moments
    const channel_map* map

cdef struct window:          # the taps, the source they slide over, and the grid of positions, cut into blocks
    const mtb_gemm* gemm
    const mtb_conv* conv
    i64 size                 # bytes of an element
    const char* x            # (images, groups * channels, extent[0], extent[1], extent[2])
    const char* end
    i64 images, groups, channels, volume
    i64 extent[3]
    i64 grid[3]
    i64 block[4]             # positions of a block, along images and the three axes
    i64 blocks[4]
    i64 positions
    i64 step[3]
    i64 phases[3]
    i64 length[3]            # the padded block of a channel: (phases * length) along each axis
    i64* origin[3]
    i64 taps, plane, c_pitch, n_pitch
    i64* tap_at              # of each tap, its offset in the padded block of a channel
    i64* kernel_at           # of each tap, its index in the kernel's volume

cdef struct spot:            # one block
    i64 start[4]
    i64 count[4]
    i64 positions

cdef inline i64 up(i64 x, i64 multiple) noexcept nogil:
    return (x + multiple - 1) // multiple * multiple

cdef inline i64 parts(i64 x, i64 size) noexcept nogil:
    return (x + size - 1) // size

cdef bint flatten(conv_geometry* g) noexcept nogil
cdef void cut_blocks(window* q, i64 most) noexcept nogil
cdef int lay_taps(window* q, const i64* counts, i64** offsets, i64** index) except -1
cdef void find_block(const window* q, i64 index, spot* s) noexcept nogil
cdef void pad_block(const window* q, const spot* s, i64 channel, i64 channels, char* dst) noexcept nogil
cdef i64 find_runs(const window* q, const spot* s, run* runs) noexcept nogil
cdef i64 cut_pieces(const window* q, const run* runs, i64 j0, i64 j1, i64* source, i64* to) noexcept nogil
