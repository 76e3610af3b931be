# The Tensor class: attributes and operators. Methods are functions elsewhere, installed by name (install, below).

cdef extern from *:
    """
    /* Extension types are sealed to setattr; methods written as plain functions join the type's dict here, at import.
    */ static int mtb_install(PyObject *type, PyObject *name, PyObject *value) {
        if (PyDict_SetItem(((PyTypeObject *)type)->tp_dict, name, value) < 0) return -1;
        PyType_Modified((PyTypeObject *)type);
        return 0;
    }

    """
    int mtb_install(object type, object name, object value) except -1


def install(str name, function):
    """Make `function` (its first argument a Tensor) a method of Tensor, or a property object an attribute."""
    mtb_install(Tensor, name, function)


cdef object numpy_module = None

cdef object numpy():
    """NumPy, imported on first use: `import minitorch_bn` alone must stay light."""
    global numpy_module
    if numpy_module is None:
        import numpy as module
        numpy_module = module
    return numpy_module


@cython.freelist(512)
cdef class Tensor:
    """A multi-dimensional array of one dtype that can record the operations on it and differentiate them.

    Make one with :func:`tensor`, :func:`zeros`, :func:`randn`, :func:`from_numpy`, ...; ``Tensor(data)`` and
    ``Tensor(*sizes)`` give float32 (the default dtype), as in PyTorch.
    """
    __array_priority__ = 1000

    def __init__(self, *args, size=None, device=None):
        cdef Tensor made
        if self.storage is not None:
            return
        check_device(device)
        if size is not None:
            args = (make_size(tuple(size)),)
        if len(args) == 1 and not isinstance(args[0], int):
            if isinstance(args[0], Size):
                made = empty(*args[0])
            elif isinstance(args[0], Tensor):
                made = args[0]  # of whatever dtype; the memory is shared
            elif isinstance(args[0], float) or args[0] is None:
                raise TypeError(f"new(): data must be a sequence (got {type(args[0]).__name__})")
            else:
                made = tensor(args[0], dtype=dtypes[default_float])
        else:
            made = zeros(*args) if args else empty(0)
        adopt(self, made)

    @staticmethod
    def _make_subclass(cls, Tensor data not None, require_grad=False, **ignored):
        """A `cls` (a subclass of Tensor) that shares data's memory, without its history."""
        cdef Tensor t = plain_new(cls)
        adopt(t, data)
        t.requires_grad = require_grad
        return t

    # -- attributes ----------------------------------------------------------------------------------------------------

    def shape_(self):
        """`shape` as a tuple, for Cython code, where `shape` is the C array."""
        return shape_tuple(self)

    @property
    def shape(self):
        """The size of each dimension."""
        return make_size(shape_tuple(self))

    @property
    def dtype(self):
        """The element type."""
        return dtypes[self.dtype]

    @property
    def device(self):
        """Always ``device("cpu")``."""
        return CPU

    @property
    def ndim(self):
        """The number of dimensions."""
        return self.ndim

    @property
    def itemsize(self):
        """Bytes of one element."""
        return ITEMSIZE[self.dtype]

    @property
    def nbytes(self):
        """Bytes of all elements."""
        return self.numel * ITEMSIZE[self.dtype]

    @property
    def requires_grad(self):
        """Whether operations on this tensor are recorded for backward."""
        return self.requires_grad_ or node_of(self) is not None

    @requires_grad.setter
    def requires_grad(self, bint value):
        if value and not is_float(self.dtype):
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        if node_of(self) is not None:
            if not value:
                raise RuntimeError("you can only change requires_grad flags of leaf variables. If you want to use a "
                                   "computed variable in a subgraph that doesn't require differentiation use "
                                   "var_no_grad = var.detach().")
            return
        if value and self.inference and not mtb_inference_mode:
            raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
        self.requires_grad_ = value

    @property
    def is_leaf(self):
        """Whether the user made it, rather than a recorded operation."""
        return node_of(self) is None

    @property
    def grad_fn(self):
        """The recorded operation that made this tensor, or None."""
        cdef Node n = node_of(self)
        if n is not None and (n.out_meta is None or n.out_meta[self.out_nr] is None):
            note_result(n, self.out_nr, shape_tuple(self), self.dtype)
        return n

    @property
    def grad(self):
        """The gradient that backward() accumulated here, or None."""
        if self.grad_ is None and not self.requires_grad_ and node_of(self) is not None and not retains(self):
            warnings.warn("The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
                          "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
                          "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor.",
                          stacklevel=2)
        return self.grad_

    @grad.setter
    def grad(self, value):
        cdef Tensor g
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"assigned grad expected to be a Tensor or None but got {type(value).__name__}")
            g = value
            if g is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if g.dtype != self.dtype:
                raise RuntimeError(f"assigned grad has data of a different type: {dtypes[g.dtype]}, not "
                                   f"{dtypes[self.dtype]}")
            if not same_shape(g, self):
                raise RuntimeError("assigned grad has data of a different size: "
                                   f"{list(shape_tuple(g))}, not {list(shape_tuple(self))}")
        self.grad_ = value

    @grad.deleter
    def grad(self):
        self.grad_ = None

    @property
    def data(self):
        """The same values without history or version: writing to it is neither recorded nor noticed."""
        cdef Tensor t = alias_of(self)
        t.silent = True
        return t

    @data.setter
    def data(self, Tensor value not None):
        if node_of(self) is None and self.requires_grad_ and not is_float(value.dtype):
            raise RuntimeError("data set to a tensor that requires gradients must be floating point dtype")
        adopt(self, value)

    @property
    def _version(self):
        return self.storage.version

    @property
    def _base(self):
        return self.base

    @property
    def output_nr(self):
        """Which output of its grad_fn this is."""
        return self.out_nr

    @property
    def retains_grad(self):
        """Whether a non-leaf keeps its gradient."""
        return retains(self)

    # -- operators -----------------------------------------------------------------------------------------------------

    def __add__(self, other):
        return operator(OP_ADD, self, other)

    def __radd__(self, other):
        return operator(OP_ADD, other, self)

    def __iadd__(self, other):
        return elementwise_inplace(OP_ADD, self, other, None, NULL)

    def __sub__(self, other):
        return operator(OP_SUB, self, other)

    def __rsub__(self, other):
        return operator(OP_SUB, other, self)

    def __isub__(self, other):
        return elementwise_inplace(OP_SUB, self, other, None, NULL)

    def __mul__(self, other):
        return operator(OP_MUL, self, other)

    def __rmul__(self, other):
        return operator(OP_MUL, other, self)

    def __imul__(self, other):
        return elementwise_inplace(OP_MUL, self, other, None, NULL)

    def __truediv__(self, other):
        return operator(OP_DIV, self, other)

    def __rtruediv__(self, other):
        return operator(OP_DIV, other, self)

    def __itruediv__(self, other):
        return elementwise_inplace(OP_DIV, self, other, None, NULL)

    def __pow__(self, other, modulo):
        if modulo is not None:
            raise RuntimeError("pow() with a modulus is not supported for tensors")
        return self.pow(other) if is_operand(other) else NotImplemented

    def __rpow__(self, other, modulo):
        return elementwise(OP_POW, other, self, None, NULL, None) if is_operand(other) else NotImplemented

    def __ipow__(self, other):
        return self.pow_(other)

    def __floordiv__(self, other):
        return operator(OP_FLOORDIV, self, other)

    def __rfloordiv__(self, other):
        return operator(OP_FLOORDIV, other, self)

    def __ifloordiv__(self, other):
        return elementwise_inplace(OP_FLOORDIV, self, other, None, NULL)

    def __mod__(self, other):
        return operator(OP_REMAINDER, self, other)

    def __rmod__(self, other):
        return operator(OP_REMAINDER, other, self)

    def __imod__(self, other):
        return elementwise_inplace(OP_REMAINDER, self, other, None, NULL)

    def __matmul__(self, other):
        return self.matmul(other) if isinstance(other, Tensor) else NotImplemented

    def __eq__(self, other):
        return operator(OP_EQ, self, other)

    def __ne__(self, other):
        return operator(OP_NE, self, other)

    def __lt__(self, other):
        return operator(OP_LT, self, other)

    def __le__(self, other):
        return operator(OP_LE, self, other)

    def __gt__(self, other):
        return operator(OP_GT, self, other)

    def __ge__(self, other):
        return operator(OP_GE, self, other)

    def __hash__(self):
        return <uintptr_t> <PyObject*> self >> 4

    def __and__(self, other):
        return operator(OP_AND, self, other)

    def __rand__(self, other):
        return operator(OP_AND, other, self)

    def __iand__(self, other):
        return elementwise_inplace(OP_AND, self, other, None, NULL)

    def __or__(self, other):
        return operator(OP_OR, self, other)

    def __ror__(self, other):
        return operator(OP_OR, other, self)

    def __ior__(self, other):
        return elementwise_inplace(OP_OR, self, other, None, NULL)

    def __xor__(self, other):
        return operator(OP_XOR, self, other)

    def __rxor__(self, other):
        return operator(OP_XOR, other, self)

    def __ixor__(self, other):
        return elementwise_inplace(OP_XOR, self, other, None, NULL)

    def __lshift__(self, other):
        return operator(OP_LSHIFT, self, other)

    def __rlshift__(self, other):
        return operator(OP_LSHIFT, other, self)

    def __ilshift__(self, other):
        return elementwise_inplace(OP_LSHIFT, self, other, None, NULL)

    def __rshift__(self, other):
        return operator(OP_RSHIFT, self, other)

    def __rrshift__(self, other):
        return operator(OP_RSHIFT, other, self)

    def __irshift__(self, other):
        return elementwise_inplace(OP_RSHIFT, self, other, None, NULL)

    def __neg__(self):
        return elementwise(OP_NEG, self, None, None, NULL, None)

    def __pos__(self):
        return self

    def __abs__(self):
        return elementwise(OP_ABS, self, None, None, NULL, None)

    def __invert__(self):
        if is_float(self.dtype):
            raise TypeError("~ (operator.invert) is only implemented on integer and Boolean-type tensors")
        return elementwise(OP_NOT, self, None, None, NULL, None)

    def __bool__(self):
        if self.numel != 1:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous" if self.numel == 0 else
                               "Boolean value of Tensor with more than one value is ambiguous")
        return item(self) != 0

    def __int__(self):
        return int(only_value(self))

    def __float__(self):
        return float(only_value(self))

    def __complex__(self):
        return complex(item(self))

    def __index__(self):
        if self.numel != 1 or is_float(self.dtype):
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(only_value(self))

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self):
        if self.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return iter([select_at(self, 0, i) for i in range(self.shape[0])])

    def __contains__(self, element):
        if not is_operand(element):
            raise RuntimeError("Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                               f"{type(element)}.")
        return bool((self == element).any())

    def __getitem__(self, index):
        cdef i64 start = begun()
        result = get_item(self, index)
        if start:
            ended("aten::index", start, (self,))
        return result

    def __setitem__(self, index, value):
        cdef i64 start = begun()
        set_item(self, index, value)
        if start:
            ended("aten::index_put_", start, (self,))

    def __repr__(self):
        from minitorch_bn._printing import tensor_repr
        return tensor_repr(self)

    def __format__(self, str spec not None):
        if self.ndim == 0 and type(self) is Tensor or self.ndim == 0 and spec:
            return format(item(self), spec)
        if spec:
            raise TypeError(f"unsupported format string passed to {type(self).__name__}.__format__")
        return repr(self)

    def __deepcopy__(self, memo):
        return deep_copy(self, memo)

    def __reduce_ex__(self, protocol):
        return reduce_tensor(self, protocol)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        fill_buffer(self, buffer, flags)

    def __releasebuffer__(self, Py_buffer* buffer):
        PyMem_Free(buffer.shape)
        Py_DECREF(<object> buffer.internal)


cdef inline bint is_operand(object x):
    return isinstance(x, (Tensor, int, float)) \
        or (hasattr(x, "dtype") and hasattr(x, "__float__") and not hasattr(x, "shape")) \
        or (hasattr(x, "shape") and x.shape == () and hasattr(x, "item"))


cdef object operator(int op, object a, object b):
    """a op b for a Python operator: NotImplemented where one is not a number, a Tensor or an array."""
    if not ((isinstance(a, (Tensor, float, int)) or is_operand(a) or hasattr(a, "__array__"))
            and (isinstance(b, (Tensor, float, int)) or is_operand(b) or hasattr(b, "__array__"))):
        return NotImplemented
    return elementwise(op, a, b, None, NULL, None)
