"""Every element-wise function of the op table: objects of one class, made at import from the rows that the build wrote
to gen/functions.h. A call goes from the interpreter to `elementwise` of the core with one look at its arguments."""
cimport cython
from cpython.object cimport PyObject

from minitorch_bn._core cimport Tensor, elementwise, elementwise_inplace, is_float, tracks2

cdef extern from "gen/functions.h":
    ctypedef struct mtb_function:
        const char* text               # name, aliases, parameters, documentation: a line each
        int op, arity, tensors         # the first `tensors` of its operands may not be numbers
        bint inplace, public           # has the form name_; is a function of the top level and a method
        bint by_name                   # parameters are given by name only
        int scaled                     # 1 or 2: this operand is multiplied by a further argument, alpha
        int[4] place                   # of the parameters in the order of a call: which one of the row it is
        double[4] defaults             # NaN: it has to be given
    const mtb_function[0] mtb_functions
    int MTB_NFUNCTIONS, MTB_OP_add, MTB_OP_addcmul

cdef extern from "Python.h":
    ctypedef object (*descr_get)(object, object, object)
    object PyMethod_New(object function, object self)
    object PyVectorcall_Call(object function, object args, object kwargs)
    Py_ssize_t PyVectorcall_NARGS(size_t nargsf)
    unsigned long Py_TPFLAGS_HAVE_VECTORCALL
    unsigned long Py_TPFLAGS_METHOD_DESCRIPTOR
    ctypedef struct raw_type "PyTypeObject":
        unsigned long tp_flags
        Py_ssize_t tp_vectorcall_offset

cdef enum:
    MOST = 9                           # arguments: three operands, four parameters, alpha, out
    OUT = 3                            # where arrange() puts the last two, after the operands
    ALPHA = 4

METHODS = {}                           # what becomes a method of Tensor: name -> function
FUNCTIONS = {}                         # every public function of torch's top level
PRIMITIVES = {}                        # what only minitorch_bn.ops has: activations, pieces of losses


@cython.final
cdef class ElementwiseFunction:
    """A function of the table, or its in-place form. As an attribute of a class it binds as any function does."""
    cdef void* vectorcall
    cdef const mtb_function* row
    cdef bint inplace
    cdef int nparams, positional       # parameters; arguments that may be given by position
    cdef readonly str __name__
    cdef tuple names                   # of the arguments, in the order of a call

    def __call__(self, *args, **kwargs):
        return PyVectorcall_Call(self, args, kwargs)

    def __get__(self, instance, owner):
        return self if instance is None else PyMethod_New(self, instance)

    def __reduce__(self):
        return self.__name__

    def __repr__(self):
        return f"<element-wise function {self.__name__}>"

    @property
    def __qualname__(self):
        return self.__name__

    @property
    def __module__(self):
        return __name__

    @property
    def __doc__(self):
        if self.inplace:
            return f"In-place version of :func:`{self.__name__[:-1]}`."
        return self.row.text.decode().split("\n")[3]

    @property
    def __signature__(self):
        from inspect import Parameter, Signature
        parameters = []
        for i, name in enumerate(self.names):
            number = i - self.row.arity
            default = Parameter.empty
            if number >= self.nparams:
                default = 1 if name == "alpha" else None
            elif number >= 0 and self.row.defaults[number] == self.row.defaults[number]:
                default = self.row.defaults[number]
            kind = Parameter.POSITIONAL_OR_KEYWORD if i < self.positional else Parameter.KEYWORD_ONLY
            parameters.append(Parameter(name, kind, default=default))
        return Signature(parameters)


cdef object called(ElementwiseFunction f, PyObject** args, size_t nargsf, PyObject* kwnames):
    """One call, as the interpreter makes it: positional arguments, then those whose names are in kwnames."""
    cdef const mtb_function* row = f.row
    cdef (PyObject*)[5] given
    cdef (PyObject*)[4] params
    cdef double[4] k
    cdef Py_ssize_t count = PyVectorcall_NARGS(nargsf), i
    cdef object out = None, product
    if count != row.arity or kwnames != NULL or f.nparams:
        arrange(f, args, count, kwnames, given, params)
        args = given
        for i in range(f.nparams):
            k[row.place[i]] = row.defaults[i] if params[i] == NULL else <object> params[i]
        if given[OUT] != NULL:
            out = <object> given[OUT]
        if given[ALPHA] != NULL:
            a, b, alpha = <object> given[2 - row.scaled], <object> given[row.scaled - 1], <object> given[ALPHA]
            if alpha != 1 and (row.scaled == 2 or not f.inplace) and are_values(a, b):  # in one pass
                k[0] = alpha if row.op == MTB_OP_add else -alpha
                if f.inplace:
                    return elementwise_inplace(MTB_OP_addcmul, a, b, 1.0, k)
                return elementwise(MTB_OP_addcmul, a, b, 1.0, k, out)
            product = scaled(b, a, alpha)
            given[row.scaled - 1] = <PyObject*> product
    for i in range(row.tensors):
        if not isinstance(<object> args[i], Tensor):
            raise TypeError(f"Argument '{f.names[i]}' has incorrect type (expected minitorch_bn._core.Tensor, got "
                            f"{type(<object> args[i]).__name__})")
    a = <object> args[0]
    b = <object> args[1] if row.arity > 1 else None
    c = <object> args[2] if row.arity > 2 else None
    if f.inplace:
        return elementwise_inplace(row.op, a, b, c, k)
    return elementwise(row.op, a, b, c, k, out)


cdef int arrange(ElementwiseFunction f, PyObject** args, Py_ssize_t count, PyObject* kwnames, PyObject** given,
                 PyObject** params) except -1:
    """The arguments of a call at their places: operands, out and alpha in `given`, parameters in `params`."""
    cdef (PyObject*)[MOST] every
    cdef Py_ssize_t i, number, known = len(f.names)
    for i in range(known):
        every[i] = args[i] if i < count else NULL
    if count > f.positional:
        raise TypeError(f"{f.__name__}() takes {f.positional} positional arguments but {count} were given")
    if kwnames != NULL:
        for number, name in enumerate(<tuple> <object> kwnames):
            for i in range(known):
                if name == f.names[i]:
                    break
            else:
                raise TypeError(f"{f.__name__}() got an unexpected keyword argument '{name}'")
            if every[i] != NULL:
                raise TypeError(f"{f.__name__}() got multiple values for argument '{name}'")
            every[i] = args[count + number]
    for i in range(f.row.arity + f.nparams):
        number = i - f.row.arity
        if every[i] == NULL and (number < 0 or f.row.defaults[number] != f.row.defaults[number]):
            raise TypeError(f"{f.__name__}() missing required argument '{f.names[i]}'")
        if number < 0:
            given[i] = every[i]
        else:
            params[number] = every[i]
    given[OUT] = NULL if f.inplace else every[known - 1]
    given[ALPHA] = every[f.row.arity + f.nparams] if f.row.scaled else NULL
    return 0


cdef bint is_real(object x) noexcept:
    return isinstance(x, float) or isinstance(x, Tensor) and is_float((<Tensor> x).dtype)


cdef bint are_values(object a, object b) noexcept:
    """Tensors of one real dtype of which no gradient is wanted."""
    return (isinstance(a, Tensor) and isinstance(b, Tensor) and (<Tensor> a).dtype == (<Tensor> b).dtype
            and is_float((<Tensor> a).dtype) and not tracks2(a, b))


cdef object scaled(object x, object other, object alpha):
    """alpha * x, for x and other of which this will be a sum or a difference."""
    if isinstance(alpha, float) and not is_real(x) and not is_real(other):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    return x if alpha == 1 else x * alpha


cdef ElementwiseFunction made(const mtb_function* row, str name, bint inplace):
    cdef ElementwiseFunction f = ElementwiseFunction.__new__(ElementwiseFunction)
    cdef list params = row.text.decode().split("\n")[2].split()
    f.vectorcall, f.row, f.inplace, f.nparams, f.__name__ = <void*> called, row, inplace, len(params), name
    f.names = (*("input", "other", "third")[:row.arity], *params, *(("alpha",) if row.scaled else ()),
               *(() if inplace else ("out",)))
    f.positional = row.arity + (0 if row.by_name else f.nparams)
    return f


cdef object fill():
    """Make the functions, and have the interpreter call them directly."""
    cdef ElementwiseFunction f
    cdef const mtb_function* row
    cdef raw_type* kind = <raw_type*> ElementwiseFunction
    for i in range(MTB_NFUNCTIONS):
        row = &mtb_functions[i]
        name, aliases = row.text.decode().split("\n")[:2]
        for suffix in ("", "_")[:1 + row.inplace]:
            f = made(row, name + suffix, suffix == "_")
            for alias in (name, *aliases.split()):
                globals()[alias + suffix] = f
                if row.public:
                    METHODS[alias + suffix] = FUNCTIONS[alias + suffix] = f
                else:
                    PRIMITIVES[alias + suffix] = f
    kind.tp_vectorcall_offset = <char*> &f.vectorcall - <char*> <PyObject*> f
    kind.tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR


fill()
__all__ = list(FUNCTIONS)
