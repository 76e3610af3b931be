/* log.h: log, log2, log10, log1p. x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); with s = f / (2 + f),
 * log(1 + f) = 2 atanh(s) = 2 s + s w (2/3 + w LOG(w)), w = s^2; and 2 s = f - s f spares the rounding of s. */
#if REAL_IS_F32
#define LOG_C 0x1.999ap-2f, 0x1.2452b4p-2f, 0x1.df99c6p-3f
#define SQRT_HALF_BITS 0x3f3504f3u
#define TWO_THIRDS_LO -0x1.555556p-26f
#define LOG2E_HI 0x1.715476p+0f
#define LOG2E_LO 0x1.4ae0cp-26f
#define LOG10E_HI 0x1.bcb7b2p-2f
#define LOG10E_LO -0x1.5b235ep-27f
#define LOG10_2_HI 0x1.344136p-2f
#define LOG10_2_LO -0x1.ec10cp-27f
#else
#define LOG_C                                                                                                       \
    0x1.9999999999b24p-2, 0x1.249249245904dp-2, 0x1.c71c722bfe4dbp-3, 0x1.745cea4dff593p-3, 0x1.3b1edb39c4e19p-3,   \
    0x1.0f814387f9484p-3, 0x1.0e37888f5c055p-3
#define SQRT_HALF_BITS 0x3fe6a09e667f3bcdu
#define TWO_THIRDS_LO 0x1.5555555555555p-55
#define LOG2E_HI 0x1.71547652b82fep+0
#define LOG2E_LO 0x1.777d0ffda0d24p-56
#define LOG10E_HI 0x1.bcb7b1526e50ep-2
#define LOG10E_LO 0x1.95355baaafad3p-57
#define LOG10_2_HI 0x1.34413509f79ffp-2
#define LOG10_2_LO -0x1.9dc1da994fd21p-59
#endif
#define TWO_THIRDS ((real)(2.0 / 3.0))

/* k and f of a positive finite x; *biased is k + BIAS as an integer */
MATH real M(log_split)(real x, real *f, ureal *biased) {
    int subnormal = x < REAL_MIN;
    x = subnormal ? x * ((real)4 * TWO_MANT) : x;
    ureal u = M(to_bits)(x) + (((ureal)BIAS << MANT) - SQRT_HALF_BITS);
    *biased = u >> MANT;
    *f = M(from_bits)((u & (((ureal)1 << MANT) - 1)) + SQRT_HALF_BITS) - (real)1;
    real k = M(from_bits)(M(to_bits)(TWO_MANT) + (u >> MANT)) - (TWO_MANT + (real)BIAS);  /* integer to real */
    return subnormal ? k - (real)(MANT + 2) : k;
}
/* the logarithm y of a positive finite x, corrected for every other x */
MATH real M(log_edges)(real x, real y) {
    y = x == REAL_INF ? x : y;
    y = x == 0 ? -REAL_INF : y;
    y = x < 0 ? REAL_NAN : y;
    return x != x ? x : y;
}
MATH real M(log)(real x) {
    real f;
    ureal biased;
    real k = M(log_split)(x, &f, &biased);
    real s = f / ((real)2 + f), w = s * s, rest = w * M(fma)(w, POLY(w, LOG_C), TWO_THIRDS);
    return M(log_edges)(x, M(fma)(k, LN2_HI, f - (s * (f - rest) - k * LN2_LO)));
}

/* log(1 + x + x_lo) for x > -1; x = inf gives NaN */
MATH real M(log1p_pair)(real x, real x_lo) {
    M(pair) u = M(two_sum)(1, x);
    real f;
    ureal biased;
    real k = M(log_split)(u.hi, &f, &biased);
    real c = (u.lo + x_lo) * M(from_bits)((2 * BIAS - biased) << MANT);  /* what 1 + f lacks */
    c = biased > BIAS + MANT + 2 ? 0 : c;
    f = k == 0 ? x : f;
    c = k == 0 ? x_lo : c;
    real s = f / ((real)2 + f), w = s * s, rest = w * M(fma)(w, POLY(w, LOG_C), TWO_THIRDS);
    real slope = ((real)1 - s) * ((real)1 - s) * ((real)1 + w);  /* 1 / (1 + f), but for s^4 */
    return M(fma)(k, LN2_HI, f - (s * (f - rest) - M(fma)(k, LN2_LO, c * slope)));
}
MATH real M(log1p)(real x) {
    real y = M(log1p_pair)(x, 0);
    y = x == 0 || x == REAL_INF ? x : y;
    y = x == -1 ? -REAL_INF : y;
    y = x < -1 ? REAL_NAN : y;
    return x != x ? x : y;
}

/* log(1 + f) = hi + lo with about 10 bits more than a real */
MATH M(pair) M(log1p_double)(real f) {
    M(pair) d = M(fast_sum)(2, f);
    real inverse = (real)1 / d.hi, s = f * inverse, s_lo = (M(fma)(-s, d.hi, f) - s * d.lo) * inverse;
    M(pair) w = M(two_prod)(s, s), cube = M(two_prod)(s, w.hi);
    w.lo += (real)2 * s * s_lo;
    cube.lo += M(fma)(s, w.lo, s_lo * w.hi);
    M(pair) third = M(two_prod)(cube.hi, TWO_THIRDS);
    third.lo += M(fma)(cube.hi, TWO_THIRDS_LO, cube.lo * TWO_THIRDS);
    M(pair) y = M(fast_sum)((real)2 * s, third.hi);
    real tail = M(fma)((real)2, s_lo, third.lo) + cube.hi * w.hi * POLY(w.hi, LOG_C);
    return M(fast_sum)(y.hi, y.lo + tail);
}
/* log(x) of a positive finite x likewise */
MATH M(pair) M(log_pair)(real x) {
    real f;
    ureal biased;
    real k = M(log_split)(x, &f, &biased);
    M(pair) l = M(log1p_double)(f), kl = M(two_prod)(k, LN2_HI), y = M(fast_sum)(kl.hi, l.hi);
    return M(fast_sum)(y.hi, y.lo + (l.lo + M(fma)(k, LN2_LO, kl.lo)));
}
/* k (a + a_lo) + log(1 + f) (b + b_lo): the logarithm in another base; of log(1 + f), f itself is the larger part */
MATH real M(log_base)(real x, real a, real a_lo, real b, real b_lo) {
    real f;
    ureal biased;
    real k = M(log_split)(x, &f, &biased);
    real s = f / ((real)2 + f), w = s * s, less = s * (f - w * M(fma)(w, POLY(w, LOG_C), TWO_THIRDS));
    M(pair) kl = M(two_prod)(k, a), p = M(two_prod)(f, b), y = M(fast_sum)(kl.hi, p.hi);
    real lo = p.lo + M(fma)(f, b_lo, -less * b);
    return M(log_edges)(x, y.hi + (y.lo + (lo + M(fma)(k, a_lo, kl.lo))));
}
MATH real M(log2)(real x) { return M(log_base)(x, 1, 0, LOG2E_HI, LOG2E_LO); }
MATH real M(log10)(real x) { return M(log_base)(x, LOG10_2_HI, LOG10_2_LO, LOG10E_HI, LOG10E_LO); }

/* log(x / (1 - x)); from 1/4 on as log1p, which keeps the zero at 1/2 */
MATH real M(logit)(real x) {
    real near = M(log1p)(((real)2 * x - (real)1) / ((real)1 - x));
    return x < (real)0.25 ? M(log)(x / ((real)1 - x)) : near;
}
MATH real M(xlogy)(real x, real y) {
    real t = x == 0 ? 0 : x * M(log)(y);
    return x != x ? x : y != y ? y : t;
}
MATH real M(xlog1py)(real x, real y) {
    real t = x == 0 ? 0 : x * M(log1p)(y);
    return x != x ? x : y != y ? y : t;
}

/* log(e^a + e^b) */
MATH real M(logaddexp)(real a, real b) {
    real y = M(maximum)(a, b) + M(log1p)(M(exp)(-M(abs)(a - b)));
    y = a == b ? a + LN2_HI : y;
    return a != a ? a : b != b ? b : y;
}
MATH real M(logaddexp2)(real a, real b) {
    real y = M(maximum)(a, b) + M(log1p)(M(exp2)(-M(abs)(a - b))) * LOG2E_HI;
    y = a == b ? a + (real)1 : y;
    return a != a ? a : b != b ? b : y;
}
/* log(1 + e^x) */
MATH real M(softplus)(real x) {
    real y = (x > 0 ? x : 0) + M(log1p)(M(exp_minus)(-M(abs)(x)));
    return x != x ? x : y;
}
MATH real M(logsigmoid)(real x) {
    real y = (x < 0 ? x : 0) - M(log1p)(M(exp_minus)(-M(abs)(x)));
    return x != x ? x : y;
}

#undef LOG_C
#undef SQRT_HALF_BITS
#undef TWO_THIRDS
#undef TWO_THIRDS_LO
#undef LOG2E_HI
#undef LOG2E_LO
#undef LOG10E_HI
#undef LOG10E_LO
#undef LOG10_2_HI
#undef LOG10_2_LO
