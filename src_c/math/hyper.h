/* hyper.h: sinh, cosh, tanh and their inverses, from the exp and log of exp.h and log.h before they are rounded. */
#if REAL_IS_F32
#define SINH_C 0x1.55559ap-3f, 0x1.10f6eap-7f, 0x1.ab56cp-13f
#else
#define SINH_C                                                                                                  \
    0x1.5555555555556p-3, 0x1.11111111110a2p-7, 0x1.a01a01a029007p-13, 0x1.71de3a460c369p-19,                   \
    0x1.ae646757dd12cp-26, 0x1.611a3f39a19bbp-33, 0x1.b4ce12947a059p-41
#endif

MATH real M(sinh)(real x) {
    real a = M(abs)(x), w = x * x, half = M(exp_pair)(a, 0, -1);
    real near = M(fma)(x * w, POLY(w, SINH_C), x), far = M(copysign)(half - (real)0.25 / half, x);
    return x == 0 ? x : a < 1 ? near : far;
}
MATH real M(cosh)(real x) {
    real half = M(exp_pair)(M(abs)(x), 0, -1);
    return x != x ? x : half + (real)0.25 / half;
}
/* -E / (2 + E) with E = exp(-2|x|) - 1 */
MATH real M(tanh)(real x) {
    M(pair) e = M(expm1_half)((real)-2 * M(abs)(x)), d = M(fast_sum)(1, e.hi);  /* halves of E and of 2 + E */
    real inverse = (real)1 / d.hi, q = e.hi * inverse;
    real y = M(fma)(M(fma)(-q, d.hi, e.hi) + M(fma)(-q, d.lo + e.lo, e.lo), inverse, q);
    y = M(abs)(x) < (real)0x1p-40 ? x : y;
    return x != x ? x : M(copysign)(y, x);
}

/* log1p(a + (sqrt(1 + a^2) - 1)), and log(2 a) where a^2 would overflow */
MATH real M(asinh)(real x) {
    real a = M(abs)(x), big = TWO_MANT * (real)16, c = a < big ? a : 1;
    real sq = c * c, w = sq / ((real)1 + M(sqrt)((real)1 + sq));
    M(pair) f = M(two_sum)(c, w);
    real near = M(log1p_pair)(f.hi, f.lo), far = M(log)(a) + LN2_HI;
    real y = a < big ? near : far;
    y = a < (real)0x1p-40 ? a : y;
    return x != x ? x : M(copysign)(y, x);
}
/* log1p(t + sqrt(t (t + 2))) with t = x - 1 */
MATH real M(acosh)(real x) {
    real big = TWO_MANT * (real)16, t = x < big ? x - (real)1 : 1;
    M(pair) d = M(two_sum)(t, 2), v = M(two_prod)(t, d.hi);
    v.lo = M(fma)(t, d.lo, v.lo);
    v = M(fast_sum)(v.hi, v.lo);
    real s = M(sqrt)(v.hi), s_lo = (M(fma)(-s, s, v.hi) + v.lo) / ((real)2 * s);
    s_lo = t == 0 ? 0 : s_lo;
    M(pair) f = M(two_sum)(t, s);
    real near = M(log1p_pair)(f.hi, f.lo + s_lo), far = M(log)(x) + LN2_HI;
    real y = x < big ? near : far;
    y = x == 1 ? 0 : y;
    return x != x ? x : x < 1 ? REAL_NAN : y;
}
/* log1p(2a / (1 - a)) / 2 */
MATH real M(atanh)(real x) {
    real a = M(abs)(x);
    M(pair) d = M(fast_sum)(1, -a);
    real q = (real)2 * a / d.hi, q_lo = (M(fma)(-q, d.hi, (real)2 * a) - q * d.lo) / d.hi;
    real y = (real)0.5 * M(log1p_pair)(q, q_lo);
    y = a < (real)0x1p-40 ? a : y;
    y = a == 1 ? REAL_INF : a > 1 ? REAL_NAN : y;
    return x != x ? x : M(copysign)(y, x);
}
#undef SINH_C
