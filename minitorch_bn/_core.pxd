# The map of the engine: the fields of Storage, Tensor and Node, and the functions that the ops layer builds on.
from cpython.object cimport PyObject

from minitorch_bn.kernels.runtime cimport i64

cdef enum:
    MAXDIM = 8

cdef class Tensor

cdef class Storage:                # a block of memory; views share it
    cdef char* data
    cdef size_t nbytes
    cdef unsigned int version      # in-place writes so far
    cdef bint readonly
    cdef unsigned int quiet        # writes that did not count: through .data
    cdef bint lent                 # its address was given away: it may change unnoticed
    cdef int deferred              # jobs that are still to fill it
    cdef bint normalized           # a batch norm reads what a convolution makes with these weights
    cdef Tensor gathered           # what the operation that wrote this learnt about it, see core/gathered.pxi, ...
    cdef unsigned int when         # ... after how many writes
    cdef const char* about         # ... and of a gradient, the tensor's memory that it is the gradient of
    cdef object owner              # who lent the block, or None if it is ours
    cdef object __weakref__

cdef class Tensor:                 # a strided view of a Storage, and its place in the graph
    cdef char* data
    cdef i64 numel
    cdef int dtype                 # MTB_f32, ...
    cdef int ndim
    cdef bint contiguous           # row-major without gaps
    cdef bint requires_grad_       # asked for by the user, on a leaf
    cdef bint inference            # made in inference mode
    cdef bint silent               # made by .data: writes are not counted as changes of the version
    cdef i64[MAXDIM] shape
    cdef i64[MAXDIM] strides       # in elements
    cdef Storage storage
    cdef Node node                 # the op that made it (read it through node_of: views may be out of date)
    cdef int out_nr                # which output of that op
    cdef unsigned int view_version  # of a view: the storage's version when `node` was right
    cdef Tensor base               # of a view: the tensor that owns the history
    cdef Tensor grad_
    cdef dict hooks                # tensor hooks by id, on a leaf
    cdef PyObject* extra           # attributes that the user set: a dict, made with the first
    cdef object __weakref__

# g: Tensor (a tuple if the op has several outputs) -> Tensor | tuple | None
ctypedef object (*vjp_t)(Node node, object g)

cdef class Node:                   # one recorded op: how to pass a gradient to its inputs
    cdef vjp_t vjp                 # in C, or NULL
    cdef object fn                 # in Python: fn(*gradients of the outputs) -> a gradient an input
    cdef object name_              # "AddBackward0"
    cdef int op                    # element-wise: the row of the table
    cdef int nin, nout
    cdef Tensor s0, s1, s2         # saved tensors and the versions they had
    cdef unsigned int v0, v1, v2
    cdef int saved_output          # which of s0.. is this node's own output (kept without history), or -1
    cdef tuple saved_more          # beyond three: (tensor, version, which output of this node it is, or -1)
    cdef object e0, e1, e2         # edges: a Node, a leaf Tensor, or None
    cdef int i0, i1, i2            # which output of that Node
    cdef list edges_more           # (edge, output number) beyond three
    cdef double[4] k               # scalar parameters
    cdef double scalar             # a scalar operand and where it stood (1, 2), or 0
    cdef int scalar_at
    cdef object aux                # whatever else the vjp needs
    cdef tuple out_meta            # of several outputs: (shape, dtype) of each
    cdef bint released
    cdef dict pre_hooks, post_hooks
    cdef object retain             # outputs whose gradient is kept: {out_nr: weakref}
    cdef object trace              # the forward line, under detect_anomaly
    cdef dict metadata_
    cdef object __weakref__

cdef class Deferred:               # an operation that has promised its result and not computed it yet
    cdef PyObject* target          # the Storage of the result, which may go while nobody looks
    cdef Storage kept              # the same, while the job has to run even if nobody looks
    cdef char* data                # where the result lies in it, and how
    cdef int dtype, ndim
    cdef bint over                 # the result replaces what the job reads in its own place
    cdef Tensor source, params     # once `maps`: the result is source, mapped channel by channel as api/norm.h says
    cdef bint rectify              # ... and then its ReLU
    cdef Tensor result             # the result, while an operation that read `source` in its place has just returned
    cdef Node reader               # the node of that operation, if it keeps the result
    cdef int shares                # how many tensors of the graph share the result's memory
    cdef i64[MAXDIM] shape
    cdef i64[MAXDIM] strides
    cdef int run(self) except -1                                           # fill the result
    cdef Deferred plus(self, Tensor residual)                              # a job for result + residual, or None
    cdef Deferred rectified(self)                                          # a job for relu(result), or None
    cdef bint maps(self) except -1                                         # make source and params, if it can be done
    cdef bint touches(self, Storage s) noexcept                            # does it read or write that memory?

# -- statistics that come with a result: see core/gathered.pxi ---------------------------------------------------------
cdef int gathers(vjp_t vjp) except -1                      # the vjp of nodes whose results may come with statistics
cdef bint is_normalized(Tensor w) noexcept                 # are those wanted that come with w's?
cdef int tell(Tensor y, Tensor sums, const char* about) except -1          # the result y, and its planes' sums
cdef Tensor told(Tensor x, const char* about)                              # x's, or None
cdef int ask(Tensor x) except -1                                           # for x's statistics next time

# -- deferred results: see core/deferred.pxi --------------------------------------------------------------------------
cdef bint defers(Tensor x) noexcept                                        # may a job read x later?
cdef int defer(Deferred job, Tensor y, bint keep) except -1                # y is what job will make
cdef int settle_all() except -1                                                # fill all that is deferred
cdef int settle_for(Tensor a, Tensor b, Tensor c) except -1                # for one that reads just these
# An operation may read what a job reads, and do the job's work on the way: `lift` gives it the job of x, if that maps
# channels, and takes it from those that are filled; `put_back` when the operation is done, with its node (or None).
cdef Deferred lift(Tensor x)
cdef int put_back(Deferred job, Tensor x, Node reader) except -1
cdef Deferred sleeper(Node n, int slot)                                    # of what n saved, if never filled
cdef Tensor fresh_like(Tensor x)                                           # new_like without settling
cdef Tensor fresh_tensor(int dtype, int ndim, const i64* shape)            # new_tensor likewise
# nodes of vjp also do the backward of a ReLU of their output: masked(node, gradient of the ReLU's output), if ready
ctypedef bint (*ready_t)(Node node) noexcept
# of z = relu(output + b), whose gradient is g + more (or g, if that is None): (what vjp returns, b's gradient); with
# `over` b's gradient may be written over g
ctypedef object (*summed_t)(Node node, object g, Tensor more, Tensor z, bint over)
cdef int expendable(Node n, Tensor g, Py_ssize_t held) except -1     # may n write its gradient over g?
cdef int fuse_relu_backward(vjp_t vjp, vjp_t masked, ready_t ready, summed_t summed) except -1

# -- making tensors ---------------------------------------------------------------------------------------------------
cdef Tensor new_tensor(int dtype, int ndim, const i64* shape)              # contiguous, not initialized
cdef Tensor new_like(Tensor x, int dtype)                                  # x's shape and, if dense, its memory order
cdef Tensor new_zeros(int dtype, int ndim, const i64* shape)
cdef Tensor scalar_tensor(double value, int dtype)                         # 0-d
cdef Tensor view_of(Tensor x, int ndim, const i64* shape, const i64* strides, char* data)  # shares storage, no history
cdef Tensor alias_of(Tensor x)                                             # the same view without history
# Tensor as it is; numbers, lists, arrays converted
cdef Tensor as_tensor(object x, int dtype_hint=*)
cdef Tensor contiguous(Tensor x)                                           # x, or a row-major copy (differentiable)
cdef Tensor cast(Tensor x, int dtype)                                      # x, or a converted copy (differentiable)
cdef Tensor raw_contiguous(Tensor x)                                       # the same without history, for kernels
cdef Tensor raw_cast(Tensor x, int dtype)
# values only: converts and broadcasts; no history
cdef int copy_into(Tensor dst, Tensor src) except -1
cdef int fill_raw(Tensor dst, double value) except -1

# -- dtypes, dims, errors ---------------------------------------------------------------------------------------------
cdef bint is_float(int dtype) noexcept                                     # f16, bf16, f32, f64
cdef int dtype_code(object dtype, int default=*) except -2                 # torch.float32 -> MTB_f32; None -> default
cdef object dtype_object(int code)
cdef int promote(int a, int b) noexcept
# PyTorch's type promotion of tensors and scalars
cdef int result_dtype(object a, object b) except -1
# negative dims; IndexError with PyTorch's message
cdef int wrap_dim(object dim, int ndim) except -1
cdef unsigned int dims_mask(object dim, int ndim) except? 0xffffffff       # int | tuple | None (all) -> bit mask
cdef tuple shape_tuple(Tensor x)
cdef int shape_from(object sizes, i64* shape) except -1                    # a sequence of ints -> shape; returns ndim
cdef i64 index_arg(object value, str what) except? -9223372036854775807
cdef int default_dtype() noexcept                                          # of set_default_dtype

# -- the graph --------------------------------------------------------------------------------------------------------
cdef bint grad_enabled() noexcept
cdef bint tracks(Tensor x) noexcept                                        # x is part of a graph (and grad mode is on)
cdef bint tracks2(Tensor x, Tensor y) noexcept
cdef bint tracks3(Tensor x, Tensor y, Tensor z) noexcept
cdef Node node_of(Tensor x)                                                # x's up-to-date grad_fn or None
cdef Node new_node(vjp_t vjp, object name, Tensor a, Tensor b, Tensor c)   # edges to the inputs that are tracked
cdef int save(Node node, int slot, Tensor x) except -1                     # slot 0, 1, 2: x with its version
cdef int save_output(Node node, int slot, Tensor y) except -1              # the op's own output, without a cycle
cdef Tensor saved(Node node, int slot)                                     # checked: RuntimeError if modified in place
cdef int set_history(Tensor y, Node node) except -1                        # y is the (only) output of node
cdef int set_output(Tensor y, Node node, int out_nr) except -1             # y is one of several outputs
cdef bint wants(Node node, int i) noexcept                                 # does input i want a gradient?
cdef int bump(Tensor x) except -1                                          # x was written in place
cdef int check_inplace(Tensor x) except -1                                 # PyTorch's errors before an in-place write
cdef int inplace_history(Tensor x, Node node) except -1                    # after it: node (or None) now made x's value

# -- element-wise ops of the table -------------------------------------------------------------------------------------
cdef object elementwise(int op, object a, object b, object c, const double* k, object out)
cdef object elementwise_inplace(int op, object a, object b, object c, const double* k)
cdef Tensor add(Tensor a, Tensor b)
cdef Tensor mul(Tensor a, Tensor b)
cdef Tensor sum_to(Tensor g, int ndim, const i64* shape)                   # undo broadcasting: the one place
