/* exp.h: exp, exp2, expm1, sigmoid. x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial in r, and a scaling by 2^n. */

/* exp(r) = 1 + r + r^2 EXP(r) */
#if REAL_IS_F32
#define EXP_C 0x1p-1f, 0x1.555498p-3f, 0x1.555464p-5f, 0x1.123674p-7f, 0x1.6db128p-10f
#define EXP_HIGH 92
#define EXP_LOW -106
#define EXPM1_HIGH 88.8
#define LN2_HI 0x1.62e43p-1f
#define LN2_LO -0x1.05c61p-29f
#else
#define EXP_C                                                                                                  \
    0x1.0000000000000p-1, 0x1.555555555555ap-3, 0x1.555555555555bp-5, 0x1.111111110f1f3p-7, 0x1.6c16c16c13f2ep-10, \
    0x1.a01a01b1b3dacp-13, 0x1.a01a01b227675p-16, 0x1.71ddf3f14ad56p-19, 0x1.27e4c2d5e5a8ep-22,                  \
    0x1.af661e6f1ace4p-26, 0x1.1f9955c45d218p-29
#define EXP_HIGH 720
#define EXP_LOW -750
#define EXPM1_HIGH 709.9
#define LN2_HI 0x1.62e42fefa39efp-1
#define LN2_LO 0x1.abc9e3b39803fp-56
#endif

/* exp(r + r_lo) - 1 = hi + lo */
MATH M(pair) M(exp_poly)(real r, real r_lo) {
    return M(fast_sum)(r, M(fma)(r * r, POLY(r, EXP_C), r_lo));
}
/* x + x_lo = n ln 2 + (hi + lo); n as a two's complement integer. The fma is exact: x and n ln 2 cancel. */
MATH M(pair) M(exp_reduce)(real x, real x_lo, ureal *n) {
    real t = M(fma)(x, (real)1.4426950408889634, MAGIC), k = t - MAGIC;
    *n = M(to_bits)(t) - M(to_bits)(MAGIC);
    return M(fast_sum)(M(fma)(-k, LN2_HI, x), M(fma)(-k, LN2_LO, x_lo));
}
/* x 2^n in two steps, so that a subnormal result is rounded once and 2^n need not be representable */
MATH real M(scale)(real x, ureal n) {
    ureal e = n + 2 * BIAS, half = e >> 1;
    return x * M(from_bits)(half << MANT) * M(from_bits)((e - half) << MANT);
}
/* exp(x + x_lo) = (hi + lo) 2^n */
MATH M(pair) M(exp_parts)(real x, real x_lo, ureal *n) {
    x = x > EXP_HIGH ? EXP_HIGH : x < EXP_LOW ? EXP_LOW : x;
    M(pair) r = M(exp_reduce)(x, x_lo, n), p = M(exp_poly)(r.hi, r.lo), y = M(fast_sum)(1, p.hi);
    return (M(pair)){y.hi, y.lo + p.lo};
}
/* 2^extra exp(x + x_lo) */
MATH real M(exp_pair)(real x, real x_lo, int extra) {
    ureal n;
    real y = M(exp_parts)(x, x_lo, &n).hi;
    return M(scale)(y, n + (ureal)extra);
}
MATH real M(exp)(real x) {
    real y = M(exp_pair)(x, 0, 0);
    return x != x ? x : y;  /* NaN as it came: the sign that arithmetic gives it depends on the instructions */
}

/* exp(x) for x <= 0 (1.05 ULP; 1 above 0), cheaper: 2^n may be subnormal, 2^(n + 64) is not. A NaN keeps its sign. */
MATH real M(exp_minus)(real x) {
    x = x < EXP_LOW ? EXP_LOW : x > 0 ? 0 : x;
    real t = M(fma)(x, (real)1.4426950408889634, MAGIC), k = t - MAGIC;
    real r = M(fma)(k, -(real)LN2_LO, M(fma)(k, -(real)LN2_HI, x)), e = M(fma)(r * r, POLY(r, EXP_C), r);
    real scale = M(from_bits)((M(to_bits)(t) - M(to_bits)(MAGIC) + (BIAS + 64)) << MANT);
    return M(fma)(scale, e, scale) * (real)0x1p-64;
}

MATH real M(exp2)(real x) {
    real c = x > BIAS + 30 ? BIAS + 30 : x < -BIAS - 70 ? -BIAS - 70 : x, t = c + MAGIC, f = c - (t - MAGIC);
    M(pair) r = M(two_prod)(f, LN2_HI), p = M(exp_poly)(r.hi, M(fma)(f, LN2_LO, r.lo));
    real y = M(scale)((real)1 + p.hi, M(to_bits)(t) - M(to_bits)(MAGIC));
    return x != x ? x : y;
}

/* (exp(x) - 1) / 2 = hi + lo: half, so that it cannot overflow before exp does; 0 > x may be as low as it likes */
MATH M(pair) M(expm1_half)(real x) {
    ureal n;
    x = x > (real)EXPM1_HIGH ? (real)EXPM1_HIGH : x < -64 ? -64 : x;
    M(pair) r = M(exp_reduce)(x, 0, &n), p = M(exp_poly)(r.hi, r.lo);
    real s = M(from_bits)((n + (BIAS - 1)) << MANT);  /* 2^n / 2 */
    M(pair) d = M(two_sum)(s, (real)-0.5), y = M(fast_sum)(d.hi, s * p.hi);
    return M(fast_sum)(y.hi, y.lo + M(fma)(s, p.lo, d.lo));
}
MATH real M(expm1)(real x) {
    real y = (real)2 * M(expm1_half)(x).hi;
    return x != x || M(abs)(x) < (real)0x1p-60 ? x : y;
}

/* 1 / (1 + exp(-x)) = e^min(x,0) / (1 + e^-|x|), the quotient corrected for the rounding of the denominator */
MATH real M(sigmoid_pair)(real x, real x_lo) {
    real e = M(exp_pair)(-M(abs)(x), x < 0 ? x_lo : -x_lo, 0), num = x < 0 ? e : (real)1;
    M(pair) d = M(fast_sum)(1, e);
    real inverse = (real)1 / d.hi, q = num * inverse;
    real y = M(fma)(M(fma)(-q, d.hi, num) - q * d.lo, inverse, q);
    return x != x ? x : y;
}
MATH real M(sigmoid)(real x) {
    real e = M(exp_minus)(-M(abs)(x)), y = (x < 0 ? e : (real)1) / ((real)1 + e);
    return x != x ? x : y;
}
