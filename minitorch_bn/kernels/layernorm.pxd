# Drivers of layer and RMS normalization: rows that are normalized one by one.
from .runtime cimport i64

# Rows of n, each normalized by its own mean and invstd (rms: mean 0). weight and bias are (period, n); row r has row
# r % period of them.
cdef int layer(int real, i64 rows, i64 n, const void* x, const void* weight, const void* bias, i64 period, double eps,
               bint rms, void* y, double* mean, double* invstd) except -1
# dx, and where not NULL dweight, dbias as double (period, n)
cdef int layer_backward(int real, i64 rows, i64 n, const void* x, const void* dy, const void* weight, i64 period,
                        bint rms, const double* mean, const double* invstd, void* dx, double* dweight,
                        double* dbias) except -1
