"""torch.linalg for real matrices: factorizations, solutions, determinants, norms, products. Leading dims are a batch.

LAPACK computes, through NumPy; so, other than elsewhere in this package, the last bits may depend on NumPy's build, its
number of threads and the processor. Triangular systems, LU and LDL are the package's own. Derivatives of every order
are exact.
"""
from minitorch_bn._arguments import explain
from minitorch_bn.linalg.common import LinAlgError
from minitorch_bn.linalg.determinants import det, slogdet
from minitorch_bn.linalg.factorizations import cholesky, cholesky_ex, eig, eigh, eigvals, eigvalsh, qr, svd, svdvals
from minitorch_bn.linalg.ldl import ldl_factor, ldl_factor_ex, ldl_solve
from minitorch_bn.linalg.lu import lu, lu_factor, lu_factor_ex, lu_solve
from minitorch_bn.linalg.norms import cond, matrix_norm, matrix_rank, norm, vector_norm
from minitorch_bn.linalg.products import (
    cross,
    diagonal,
    householder_product,
    matmul,
    matrix_exp,
    matrix_power,
    multi_dot,
    vander,
    vecdot,
)
from minitorch_bn.linalg.solving import (
    inv,
    inv_ex,
    lstsq,
    pinv,
    solve,
    solve_ex,
    tensorinv,
    tensorsolve,
)
from minitorch_bn.linalg.triangular import solve_triangular

__all__ = ["LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals",
           "eigvalsh", "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex", "ldl_solve", "lstsq",
           "lu", "lu_factor", "lu_factor_ex", "lu_solve", "matmul", "matrix_exp", "matrix_norm", "matrix_power",
           "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_ex", "solve_triangular", "svd",
           "svdvals", "tensorinv", "tensorsolve", "vander", "vecdot", "vector_norm"]

explain(globals(), __all__, "linalg_")
