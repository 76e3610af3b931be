# The driver of the optimizers: one call steps all parameters.
from minitorch_bn.kernels.runtime cimport i64

cdef extern from "mtb.h" nogil:
    ctypedef struct mtb_sgd:
        double lr, momentum, dampening, weight_decay
        bint nesterov, maximize, first
    ctypedef struct mtb_adam:
        double lr, beta1, beta2, eps, weight_decay, correction1, correction2
        bint amsgrad, maximize, decoupled
    ctypedef struct mtb_optim "mtb_optim":
        void (*sgd)(void* param, const void* grad, void* momentum, i64 n, const mtb_sgd* o) noexcept nogil
        void (*adam)(void* param, const void* grad, void* mean, void* square, void* square_max, i64 n,
                     const mtb_adam* o) noexcept nogil

ctypedef struct slot:     # one parameter tensor and its state; what the optimizer does not use is NULL
    char* param
    const char* grad
    char* first           # momentum, or the mean of gradients
    char* second          # the mean of squares
    char* third           # the largest mean of squares so far
    i64 n

cdef int sgd(int real, slot* slots, i64 count, const mtb_sgd* o) except -1
cdef int adam(int real, slot* slots, i64 count, const mtb_adam* o) except -1
