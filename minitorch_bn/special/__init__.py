"""torch.special: the special functions under the names that this namespace gives them."""
from minitorch_bn import ops
from minitorch_bn.ops.gammas import igamma as gammainc
from minitorch_bn.ops.gammas import igammac as gammaincc
from minitorch_bn.ops.gammas import mvlgamma as multigammaln
from minitorch_bn.special.bessel import (
    airy_ai,
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    modified_bessel_i0,
    modified_bessel_i1,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    spherical_bessel_j0,
)
from minitorch_bn.special.normal import entr, erfcx, log_ndtr, ndtri, zeta
from minitorch_bn.special.polynomials import (
    chebyshev_polynomial_t,
    chebyshev_polynomial_u,
    chebyshev_polynomial_v,
    chebyshev_polynomial_w,
    hermite_polynomial_h,
    hermite_polynomial_he,
    laguerre_polynomial_l,
    legendre_polynomial_p,
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
)

digamma = psi = ops.digamma
erf, erfc, erfinv = ops.erf, ops.erfc, ops.erfinv
exp2, expm1, log1p = ops.exp2, ops.expm1, ops.log1p
expit = ops.sigmoid
gammaln = ops.lgamma
i0, i0e, i1, i1e = ops.i0, ops.i0e, ops.i1, ops.i1e
log_softmax, logsumexp, softmax = ops.log_softmax, ops.logsumexp, ops.softmax
logit, ndtr, polygamma = ops.logit, ops.ndtr, ops.FUNCTIONS["polygamma"]
round = ops.round
sinc, xlog1py, xlogy = ops.sinc, ops.xlog1py, ops.xlogy

__all__ = [
    "airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1", "chebyshev_polynomial_t", "chebyshev_polynomial_u",
    "chebyshev_polynomial_v", "chebyshev_polynomial_w", "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp2",
    "expit", "expm1", "gammainc", "gammaincc", "gammaln", "hermite_polynomial_h", "hermite_polynomial_he", "i0", "i0e",
    "i1", "i1e", "laguerre_polynomial_l", "legendre_polynomial_p", "log1p", "log_ndtr", "log_softmax", "logit",
    "logsumexp", "modified_bessel_i0", "modified_bessel_i1", "modified_bessel_k0", "modified_bessel_k1", "multigammaln",
    "ndtr", "ndtri", "polygamma", "psi", "round", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t", "shifted_chebyshev_polynomial_u", "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w", "sinc", "softmax", "spherical_bessel_j0", "xlog1py", "xlogy", "zeta"]
