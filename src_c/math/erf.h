/* erf.h: erf, erfc, the normal distribution function, and the activations built on them.
 * Below 3/4 (erf: 1), erf(x) = x + x ERF(x^2); from there on, erfc(x) = exp(-x^2) / x ERFC(1 / (x + 5/2) - 3/16). */
#if REAL_IS_F32
#define ERF_C                                                                                                   \
    0x1.06eba8p-3f, -0x1.81273ep-2f, 0x1.ce2d2p-4f, -0x1.b7fbb6p-6f, 0x1.5419fap-8f, -0x1.a485f8p-11f,          \
    0x1.4ae4c6p-14f
#define ERFC_0 0x1.117d16p-1f
#define ERFC_0_LO -0x1.93b386p-26f
#define ERFC_C                                                                                                  \
    -0x1.0b273cp-1f, -0x1.e1984ep+1f, -0x1.f0c832p+3f, -0x1.481adp+5f, -0x1.d6d70ep+5f,                         \
    0x1.5050c8p+3f, 0x1.8705a6p+7f, 0x1.c04bccp+6f, -0x1.308792p+9f
#define ERFC_END 10.5f /* erfc(x) is 0 from here on */
#define SQRT_HALF_HI 0x1.6a09e6p-1f
#define SQRT_HALF_LO 0x1.9fcef4p-27f
#define GELU_CUBIC_HI 0x1.6e4e26p-5f
#define GELU_CUBIC_LO 0x1.a9003ep-30f
#define SQRT_8_PI_HI 0x1.988454p+0f
#define SQRT_8_PI_LO -0x1.857936p-25f
#else
#define ERF_C                                                                                                   \
    0x1.06eba8214db68p-3, -0x1.812746b0379c2p-2, 0x1.ce2f21a041018p-4, -0x1.b82ce312062bcp-6,                   \
    0x1.565bccfa9a825p-8, -0x1.c02db072f3fe0p-11, 0x1.f9a2bf73f0c68p-14, -0x1.f4ca94990cb86p-17,                \
    0x1.b9827b1885f9bp-20, -0x1.5c16e30fb0d45p-23, 0x1.d784936618cc2p-27, -0x1.acdff90b8ebd8p-31
#define ERFC_0 0x1.117d153939695p-1
#define ERFC_0_LO -0x1.f8b398bfcd2bcp-56
#define ERFC_C                                                                                                  \
    -0x1.0b273cc048721p-1, -0x1.e1985a3cc5124p+1, -0x1.f0c82c107e38fp+3, -0x1.4818e7619a645p+5,                 \
    -0x1.d6dbbed2ab726p+5, 0x1.498517eaa74d8p+3, 0x1.884dcb4e0b393p+7, 0x1.08564ea8b83e4p+7,                    \
    -0x1.554100cc24f8cp+9, -0x1.5ec35bfceffd6p+9, 0x1.7e0eedf9194c4p+11, 0x1.321f04a845ffcp+11,                 \
    -0x1.0042035e79a46p+14, -0x1.38262f7ca56e8p+10, 0x1.62d0d30b6a005p+16, -0x1.5db6951c824f7p+16,              \
    -0x1.c0376085445c8p+18, 0x1.0f5f639f70448p+20, 0x1.148a84044c308p+21, -0x1.aaf4f4a2bbe9cp+22,               \
    -0x1.9bced2c71a516p+23
#define ERFC_END 28.0
#define SQRT_HALF_HI 0x1.6a09e667f3bcdp-1
#define SQRT_HALF_LO -0x1.bdd3413b26456p-55
#define GELU_CUBIC_HI 0x1.6e4e26d4801f7p-5
#define GELU_CUBIC_LO 0x1.441355475a31ap-59
#define SQRT_8_PI_HI 0x1.9884533d43651p+0
#define SQRT_8_PI_LO -0x1.cbc0d30ebfd15p-54
#endif

/* erf(z + z_lo) - z for 0 <= z < 1; e = exp(-z^2) */
MATH real M(erf_rest)(real z, real z_lo, real e) {
    real w = z * z;
    return M(fma)(z, POLY(w, ERF_C), (real)1.1283791670955126 * e * z_lo);
}
/* erfc(z + z_lo) for z >= 3/4, with exp(-(z + z_lo)^2) = (e.hi + e.lo) 2^n given */
MATH real M(erfc_far)(real z, real z_lo, M(pair) e, ureal n) {
    M(pair) d = M(fast_sum)((real)2.5, z);
    real t = (real)1 / d.hi, t_lo = t * (M(fma)(-t, d.hi, 1) - t * d.lo), s = (t - (real)0.1875) + t_lo;
    real g = ERFC_0 + M(fma)(s, POLY(s, ERFC_C), ERFC_0_LO), inverse = (real)1 / z;
    M(pair) p = M(two_prod)(e.hi, g);
    real q = p.hi * inverse;
    return M(scale)(M(fma)(M(fma)(-q, z, p.hi) + (M(fma)(e.lo, g, p.lo) - q * z_lo), inverse, q), n);
}
/* min(|x|, end), and end of NaN: by the bits, because GCC turns a choice of reals into copies of what follows it */
MATH real M(within)(real x, real end) {
    ureal a = M(to_bits)(M(abs)(x)), most = M(to_bits)(end);
    return M(from_bits)(a < most ? a : most);
}
/* From FAR_FROM on, erfc(a) = exp(-ERF_FAR(a - far_about)), minimax weighted by erfc: 0.03 ULP of erf, and 0.06 in
 * double; from far_end on, erf is 1. */
#if REAL_IS_F32
enum { M(far_about) = 0, M(far_end) = 4 };
#define FAR_FROM 0.9f
#define ERF_FAR                                                                                                 \
    0x1.743c2cp-13f, 0x1.20b432p+0f, 0x1.462cb2p-1f, 0x1.aa2312p-4f, -0x1.6cfcdep-6f, 0x1.908126p-9f,           \
    -0x1.9d8518p-13f
#else
enum { M(far_about) = 1, M(far_end) = 6 };
#define FAR_FROM 1
#define ERF_FAR \
    0x1.d97fbf27aa2a1p+0, 0x1.51c9b0006c219p+1, 0x1.afabc11a2b07fp-1, 0x1.5477f099acbe9p-5, \
    -0x1.48c9d37e8991dp-7, 0x1.033f59fd138fcp-9, -0x1.f1b046b95832ep-13, -0x1.b92e1171ee125p-16, \
    0x1.c852ed50bfdbbp-16, -0x1.4484cb18410bbp-17, 0x1.1e2518d29492fp-19, -0x1.b7ce3f87ae241p-23, \
    -0x1.f26c3dc9e1095p-25, 0x1.1ee2bbfae4ae6p-25, -0x1.24c6e6f1acbb2p-27, 0x1.6ab6481eccc11p-30, \
    -0x1.0682ced0e194fp-33, 0x1.568638ae76edbp-38
#endif
MATH real M(erf)(real x) {
    real a = M(abs)(x), c = M(within)(x, M(far_end)), near = c + M(erf_rest)(c, 0, 0);
    real q = POLY(c - M(far_about), ERF_FAR), m = M(fma)(q, (real)-1.4426950408889634, MAGIC), n = m - MAGIC;
    real r = M(fma)(-n, LN2_HI, -q) - n * LN2_LO, e = M(fma)(r * r, POLY(r, EXP_C), r);
    real scale = M(from_bits)((M(to_bits)(m) - M(to_bits)(MAGIC) + BIAS) << MANT);
    return x != x ? x : M(copysign)(a < (real)FAR_FROM ? near : M(fma)(-scale, e, (real)1 - scale), x);
}
#undef ERF_FAR
#undef FAR_FROM
/* erfc(sign (z + z_lo)) for z >= 0, where (z + z_lo)^2 = sq + sq_lo; sign is 1 or -1 */
MATH real M(erfc_pair)(real z, real z_lo, real sq, real sq_lo, real sign) {
    ureal n;
    M(pair) e = M(exp_parts)(-sq, -sq_lo, &n), one = M(fast_sum)(1, -sign * z);
    real rest = M(erf_rest)(z, z_lo, M(scale)(e.hi, n)), far = M(erfc_far)(z, z_lo, e, n);
    real near = one.hi + (one.lo - sign * rest);
    return z < (real)0.75 ? near : ((real)1 - sign) + sign * far;
}
MATH real M(erfc)(real x) {
    real a = M(abs)(x), z = a > ERFC_END ? ERFC_END : a;
    M(pair) sq = M(two_prod)(z, z);
    return x != x ? x : M(erfc_pair)(z, 0, sq.hi, sq.lo, M(copysign)(1, x));
}
/* the standard normal distribution function, erfc(-x / sqrt(2)) / 2 */
#if REAL_IS_F32
/* The tail of the normal distribution, P(X > a) for 0 <= a <= 15: exp(-a^2 / 2) times a smooth function, the quotient
 * of 1/2 + a OVER(a) and 1 + a UNDER(a) (minimax, 1.2e-8), whose last sums and quotient are corrected for their
 * rounding. The square is taken in two pieces: exp would magnify its rounding. *density = exp(-a^2 / 2). */
#define TAIL_OVER 0x1.c1d36ap-2f, 0x1.78c4aap-3f, 0x1.4ee5bep-5f, 0x1.102f6ap-8f
#define TAIL_UNDER 0x1.ad2be6p+0f, 0x1.349ebcp+0f, 0x1.e2b8c4p-2f, 0x1.a3c1bap-4f, 0x1.552142p-7f
MATH real M(normal_tail)(real a, real *density) {
    M(pair) sq = M(two_prod)((real)-0.5 * a, a);
    real over = POLY(a, TAIL_OVER), p = M(fma)(a, over, (real)0.5), p_lo = M(fma)(a, over, (real)0.5 - p);
    real under = POLY(a, TAIL_UNDER), d = M(fma)(a, under, 1), d_lo = M(fma)(a, under, (real)1 - d);
    real inverse = (real)1 / d, q = p * inverse, q_lo = inverse * (M(fma)(-q, d, p) + M(fma)(-q, d_lo, p_lo));
    /* exp(sq) = 2^n (1 + e); 2^n may be subnormal, 2^(n + 64) is not */
    real m = M(fma)(sq.hi, (real)1.4426950408889634, MAGIC), n = m - MAGIC;
    real r = M(fma)(-n, LN2_HI, sq.hi) + M(fma)(-n, LN2_LO, sq.lo), e = M(fma)(r * r, POLY(r, EXP_C), r);
    real scale = M(from_bits)((M(to_bits)(m) - M(to_bits)(MAGIC) + (BIAS + 64)) << MANT);
    *density = M(fma)(scale, e, scale) * (real)0x1p-64;
    return (scale * (q + M(fma)(e, q, q_lo))) * (real)0x1p-64;
}
MATH real M(ndtr)(real x) {
    real density, r = M(normal_tail)(M(within)(x, 15), &density), y = x < 0 ? r : (real)1 - r;
    return x != x ? x : y;
}
/* x P(X < x) = max(x, 0) - |x| P(X > |x|) */
MATH real M(gelu)(real x) {
    real density, a = M(within)(x, 15), y = M(fma)(-a, M(normal_tail)(a, &density), x >= 0 ? x : (real)-0.0);
    return x != x ? x : y;
}
MATH real M(gelu_slope)(real x) {
    real density, r = M(normal_tail)(M(within)(x, 15), &density);
    return M(fma)(x * (real)0.3989422804014327, density, x < 0 ? r : (real)1 - r);
}
#undef TAIL_OVER
#undef TAIL_UNDER
#else
MATH real M(ndtr)(real x) {
    real a = M(abs)(x), end = ERFC_END * (real)1.4142135;
    a = a > end ? end : a;
    M(pair) z = M(two_prod)(a, SQRT_HALF_HI), sq = M(two_prod)(a, a);
    z.lo = M(fma)(a, SQRT_HALF_LO, z.lo);
    real y = (real)0.5 * M(erfc_pair)(z.hi, z.lo, (real)0.5 * sq.hi, (real)0.5 * sq.lo, M(copysign)(1, -x));
    return x != x ? x : y;
}
MATH real M(gelu)(real x) { return x != x ? x : x == -REAL_INF ? 0 : x * M(ndtr)(x); }
MATH real M(gelu_slope)(real x) {
    return M(ndtr)(x) + x * (real)0.3989422804014327 * M(exp)((real)-0.5 * x * x);
}
#endif
#if REAL_IS_F32
/* The inverse of erf is x times a smooth function of w = -log(1 - x^2), and of sqrt(w) from 5 on (minimax, 2^-27). */
MATH real M(erfinv)(real x) {
    real a = M(abs)(x), w = -M(log)(M(fma)(-a, a, 1)), t = w - (real)2.5, q = M(sqrt)(w);
    real s = (q - (real)3) + M(fma)(-q, q, w) / ((real)2 * q);  /* with what the root lacks */
    real rest = POLY(t, 0x1.f91e8ap-3f, -0x1.11c4ecp-8f, -0x1.486616p-10f, 0x1.c9e6c6p-13f, -0x1.4d15bp-18f,
                     -0x1.d0c19cp-19f, 0x1.f48c16p-22f, 0x1.8f2204p-26f, -0x1.2e0f1ap-27f);
    real near = M(fma)(t, rest, 0x1.805c5ep+0f), near_lo = M(fma)(t, rest, 0x1.805c5ep+0f - near) - 0x1.bff0ccp-25f;
    real far = POLY(s, 0x1.6a9efcp+1f, 0x1.006dc8p+0f, 0x1.358424p-7f, -0x1.f4a808p-8f, 0x1.7473cep-8f,
                    -0x1.d62750p-9f, 0x1.882150p-10f, -0x1.415e9ap-14f, -0x1.4e34dcp-12f, 0x1.0e757ep-13f);
    real y = a == 1 ? x * REAL_INF : w < 5 ? M(fma)(x, near, x * near_lo) : x * far;
    return x != x ? x : a > 1 ? REAL_NAN : y;
}
#else
/* The inverse of erf is x times a smooth function of w = -log(1 - x^2), and of sqrt(w) from 4.9 on: quotients of two
 * polynomials with positive coefficients (minimax, 3.4e-18 and 8e-17). */
#define ERFINV_NEAR \
    0x1.c5bf891b4ef6bp-1, 0x1.64a74e1b7b3c0p-2, 0x1.7c9abe6c873dcp-4, 0x1.2472014569c31p-6, \
    0x1.4c44602aee021p-9, 0x1.1d7bb2291a924p-12, 0x1.6918f2d622f79p-16, 0x1.324c2da8317edp-20, \
    0x1.0d285c551480ap-25
#define ERFINV_NEAR_UNDER \
    1, 0x1.0cb737a18928bp-3, 0x1.d6c68377c319dp-5, 0x1.8a95dbc6b9e10p-8, 0x1.0cd0d188ab449p-10, \
    0x1.476e79317483ap-14, 0x1.6f37e6dbe11f4p-18, 0x1.eecd422ad60cfp-23, 0x1.06a9319990755p-29
#define ERFINV_FAR \
    0x1.044bd0009f2aap+1, 0x1.e58ad205250a1p+0, 0x1.04efac330ed81p+1, 0x1.42cb6a370202bp+0, \
    0x1.88c9722f04967p-1, 0x1.68e6ed0b08223p-2, 0x1.35e6f9fdcd28ap-3, 0x1.afb0d7b1e77e4p-5, \
    0x1.11cff9c277656p-6, 0x1.161f0e16f359fp-8, 0x1.ed6c55b369187p-11, 0x1.275f8518c5b56p-13
#define ERFINV_FAR_UNDER \
    1, 0x1.dd5a2d97129f7p-2, 0x1.7ea8d3cfed4c5p-1, 0x1.20e117513cc0cp-2, 0x1.c35e36f39de0ap-3, \
    0x1.3036a38fa0936p-4, 0x1.197dba6cabc36p-5, 0x1.48467a5413526p-7, 0x1.8cff0d38e92cbp-9, \
    0x1.4e1026241bca7p-11, 0x1.27421c1e3264dp-13
MATH real M(erfinv)(real x) {
    real a = M(abs)(x), w = -M(log)(M(fma)(-a, a, 1)), s = M(sqrt)(w) - 2.1875;
    real near = POLY(w, ERFINV_NEAR), far = POLY(s, ERFINV_FAR);
    real near_under = POLY(w, ERFINV_NEAR_UNDER), far_under = POLY(s, ERFINV_FAR_UNDER);
    real y = a == 1 ? REAL_INF : (w < 4.9 ? near : far) / (w < 4.9 ? near_under : far_under);
    return x != x ? x : a > 1 ? REAL_NAN : x * y;
}
#undef ERFINV_NEAR
#undef ERFINV_NEAR_UNDER
#undef ERFINV_FAR
#undef ERFINV_FAR_UNDER
#endif
/* x (1 + tanh(u)) / 2 = x sigmoid(2 u) with 2 u = sqrt(8 / pi) (x + 0.044715 x^3) in two pieces: the tail magnifies
 * any error of u */
MATH real M(gelu_tanh)(real x) {
    real c = x < -64 ? -64 : x > 64 ? 64 : x;
    M(pair) sq = M(two_prod)(c, c), cubic = M(two_prod)(GELU_CUBIC_HI, sq.hi), s = M(two_sum)(1, cubic.hi);
    s.lo += M(fma)(GELU_CUBIC_HI, sq.lo, M(fma)(GELU_CUBIC_LO, sq.hi, cubic.lo));
    M(pair) linear = M(two_prod)(c, SQRT_8_PI_HI), u = M(two_prod)(linear.hi, s.hi);
    u.lo += M(fma)(linear.hi, s.lo, M(fma)(c, SQRT_8_PI_LO, linear.lo) * s.hi);
    return x != x ? x : x == -REAL_INF ? 0 : x * M(sigmoid_pair)(u.hi, u.lo);
}
MATH real M(silu_slope)(real x) {
    real e = M(exp_minus)(-M(abs)(x)), inverse = (real)1 / ((real)1 + e);
    real own = x < 0 ? e : (real)1, other = x < 0 ? (real)1 : e;
    return own * inverse * M(fma)(x, other * inverse, 1);
}
MATH real M(silu)(real x) { return x != x ? x : x == -REAL_INF ? 0 : x * M(sigmoid)(x); }
/* x tanh(log(1 + e^x)), where tanh(log(1 + e)) = (e^2 + 2 e) / (e^2 + 2 e + 2) */
MATH real M(mish)(real x) {
    real e = M(exp_minus)(-M(abs)(x)), num = x < 0 ? e * (e + (real)2) : M(fma)((real)2, e, 1);
    real den = num + (x < 0 ? (real)2 : (real)2 * e * e);
    return x != x ? x : x == -REAL_INF ? 0 : x * (num / den);
}

#undef ERF_C
#undef GELU_CUBIC_HI
#undef GELU_CUBIC_LO
#undef SQRT_8_PI_HI
#undef SQRT_8_PI_LO
#undef ERFC_C
#undef ERFC_0
#undef ERFC_0_LO
#undef ERFC_END
#undef SQRT_HALF_HI
#undef SQRT_HALF_LO
#undef EXP_C
#undef LN2_HI
#undef LN2_LO
#undef EXP_HIGH
#undef EXP_LOW
#undef EXPM1_HIGH
