/* trig.h: sin, cos, tan for arguments of any size, and atan, atan2, asin, acos. */
#include "two_over_pi.h"

#if REAL_IS_F32
#define SIN_C -0x1.555546p-3f, 0x1.110762p-7f, -0x1.994ebap-13f
#define COS_C 0x1.55554ap-5f, -0x1.6c0c96p-10f, 0x1.9a04acp-16f
#define ATAN_C -0x1.55554ap-2f, 0x1.9991e4p-3f, -0x1.23b9f4p-3f, 0x1.b229ep-4f, -0x1.f30210p-5f
#define ASIN_C 0x1.55554cp-3f, 0x1.333862p-4f, 0x1.6cb1c6p-5f, 0x1.047e18p-5f, 0x1.da1214p-7f, 0x1.330e16p-5f
#define PI_2_HI 0x1.921fb6p+0f
#define PI_2_LO -0x1.777a5cp-25f
#define THREE_PI_4_HI 0x1.2d97c8p+1f
#define THREE_PI_4_LO -0x1.99bc5cp-28f
#else
#define SIN_C                                                                                                   \
    -0x1.5555555555549p-3, 0x1.111111110f8b7p-7, -0x1.a01a019c1705ap-13, 0x1.71de357b2e4a7p-19,                 \
    -0x1.ae5e683b1e100p-26, 0x1.5d936c53a82eep-33
#define COS_C                                                                                                   \
    0x1.555555555554ep-5, -0x1.6c16c16c15504p-10, 0x1.a01a019cfdeeap-16, -0x1.27e4f83aaf018p-22,                \
    0x1.1eea09c05e17dp-29, -0x1.8fbcb4539c6dep-37
#define ATAN_C                                                                                                  \
    -0x1.5555555555555p-2, 0x1.99999999996f7p-3, -0x1.24924924799b9p-3, 0x1.c71c71b8fa007p-4,                   \
    -0x1.745d14ed9ebbdp-4, 0x1.3b13722c01476p-4, -0x1.110ca70120e94p-4, 0x1.e1759462c344cp-5,                   \
    -0x1.ab925d9c24dd8p-5, 0x1.713abed902152p-5, -0x1.12dd9394cc068p-5, 0x1.f457e3e8d166ep-7
#define ASIN_C                                                                                                  \
    0x1.555555555556fp-3, 0x1.333333332ed82p-4, 0x1.6db6db719b56cp-5, 0x1.f1c71abaad4c4p-6,                     \
    0x1.6e8bdb44c700ep-6, 0x1.1c4a29c3a5952p-6, 0x1.ca1ab81ba2c4dp-7, 0x1.75a9834b76528p-7,                     \
    0x1.608357aed3f35p-7, 0x1.f0149a4cae564p-9, 0x1.60bdba5888ef4p-6, -0x1.542e5a72d6e44p-6,                    \
    0x1.0a274f350d9b1p-5
#define PI_2_HI 0x1.921fb54442d18p+0
#define PI_2_LO 0x1.1a62633145c07p-54
#define THREE_PI_4_HI 0x1.2d97c7f3321d2p+1
#define THREE_PI_4_LO 0x1.a79394c9e8a0ap-54
#endif

/* x = *quadrant pi/2 + (hi + lo) for any finite x >= 0, |hi| <= pi/4, with an error far below one ulp of hi. The column
 * is that of x + 1, which is never below the first, and 0 for infinity and NaN. */
MATH M(pair) M(trig_reduce)(real x, ureal *quadrant) {
#if REAL_IS_F32
    uint64_t j = ((D(to_bits)((double)x + 1) >> 52) - 1023) >> M(pi_step) & 7;
    double z = D(from_bits)(D(to_bits)(x) - (j << (M(pi_step) + 52))) * 0x1p23;
    D(pair) p = D(two_prod)(z, M(two_over_pi)[0][j]);  /* below 2^42 */
    double magic = 0x1.8p52, t = p.hi + magic, f = p.hi - (t - magic);
    double r = (f + D(fma)(z, M(two_over_pi)[1][j], p.lo)) * 1.5707963267948966;
    *quadrant = (ureal)D(to_bits)(t);
    return (M(pair)){(float)r, (float)(r - (double)(float)r)};
#else
    uint64_t j = ((D(to_bits)(x + 1) >> MANT) - BIAS) >> M(pi_step) & 31;
    double z = D(from_bits)(D(to_bits)(x) - (j << (M(pi_step) + MANT))) * TWO_MANT;
    D(pair) p = D(two_prod)(z, M(two_over_pi)[0][j]), p1 = D(two_prod)(z, M(two_over_pi)[1][j]);
    D(pair) p2 = D(two_prod)(z, M(two_over_pi)[2][j]);
    p.hi -= 4 * D(round)(0.25 * p.hi);  /* each modulo 4, exactly */
    p.lo -= 4 * D(round)(0.25 * p.lo);
    p1.hi -= 4 * D(round)(0.25 * p1.hi);
    D(pair) s = D(two_sum)(p.hi, p.lo), s1 = D(two_sum)(s.hi, p1.hi);
    double t = s1.hi + MAGIC;
    D(pair) y = D(two_sum)(s1.hi - (t - MAGIC), s.lo + s1.lo), y1 = D(two_sum)(y.hi, p1.lo);
    D(pair) y2 = D(two_sum)(y1.hi, p2.hi);
    y = D(fast_sum)(y2.hi, (y.lo + y1.lo + y2.lo) + D(fma)(z, M(two_over_pi)[3][j], p2.lo));
    D(pair) r = D(two_prod)(y.hi, PI_2_HI);
    double r_hi = r.hi, r_lo = r.lo + D(fma)(y.hi, PI_2_LO, y.lo * PI_2_HI);
    int small = x < 0.78539816;
    *quadrant = small ? 0 : D(to_bits)(t);
    return (M(pair)){small ? x : r_hi, small ? 0 : r_lo};
#endif
}
/* The same where x is not large: multiples of pi/2 in pieces are taken off, the first exactly. */
MATH int M(far_angle)(real x) { return !(M(abs)(x) < (real)1e5); }
MATH M(pair) M(trig_reduce_near)(real x, ureal *quadrant) {
#if REAL_IS_F32
    double t = D(fma)(x, 0x1.45f306dc9c883p-1, 0x1.8p52), n = t - 0x1.8p52;
    double r = D(fma)(-n, 0x1.1a62633145c07p-54, D(fma)(-n, 0x1.921fb54442d18p+0, x));
    *quadrant = (ureal)D(to_bits)(t);
    return (M(pair)){(float)r, (float)(r - (double)(float)r)};
#else
    double t = D(fma)(x, 0x1.45f306dc9c883p-1, MAGIC), n = t - MAGIC;
    D(pair) p = D(two_prod)(n, PI_2_LO), r = D(two_sum)(D(fma)(-n, PI_2_HI, x), -p.hi);
    *quadrant = D(to_bits)(t);
    return D(fast_sum)(r.hi, r.lo - D(fma)(n, -0x1.f1976b7ed8fbcp-110, p.lo));
#endif
}
/* sin(r) - r and cos(r) - 1 + r^2/2: to be added last */
MATH real M(sin_rest)(M(pair) r) {
    real w = r.hi * r.hi;
    return M(fma)(w * r.hi, POLY(w, SIN_C), r.lo);
}
MATH real M(cos_poly)(M(pair) r) {
    real w = r.hi * r.hi, h = (real)0.5 * w, y = (real)1 - h;
    return y + M(fma)(w * w, POLY(w, COS_C), ((real)1 - y) - h - r.hi * r.lo);
}
/* sin(r + quadrant pi/2) with the bits of `sign` on top */
MATH real M(sin_of)(M(pair) r, ureal quadrant, ureal sign) {
    real s = r.hi + M(sin_rest)(r), y = quadrant & 1 ? M(cos_poly)(r) : s;
    return M(from_bits)(M(to_bits)(y) ^ sign ^ (quadrant >> 1 << (sizeof(real) * 8 - 1)));
}
MATH real M(sin_shifted)(real x, ureal shift, ureal sign) {
    ureal quadrant;
    M(pair) r = M(trig_reduce)(M(abs)(x), &quadrant);
    real y = M(sin_of)(r, quadrant + shift, sign);
    y = M(abs)(x) < REAL_INF ? y : REAL_NAN;
    return x != x ? x : y;
}
MATH real M(sin)(real x) { return M(sin_shifted)(x, 0, M(to_bits)(x) & SIGN_BIT); }
MATH real M(cos)(real x) { return M(sin_shifted)(x, 1, 0); }
MATH real M(sin_near)(real x) {
    ureal quadrant;
    M(pair) r = M(trig_reduce_near)(M(abs)(x), &quadrant);
    return M(sin_of)(r, quadrant, M(to_bits)(x) & SIGN_BIT);
}
MATH real M(cos_near)(real x) {
    ureal quadrant;
    M(pair) r = M(trig_reduce_near)(M(abs)(x), &quadrant);
    return M(sin_of)(r, quadrant + 1, 0);
}

MATH real M(tan_of)(M(pair) r, ureal quadrant, real x) {
    M(pair) s = M(fast_sum)(r.hi, M(sin_rest)(r)), c, num, den;
    real w = r.hi * r.hi, h = (real)0.5 * w;
    c = M(fast_sum)(1, -h);
    real h_lo = M(fma)(r.hi, r.hi, -w) * (real)0.5;
    c = M(fast_sum)(c.hi, c.lo + M(fma)(w * w, POLY(w, COS_C), -M(fma)(r.hi, r.lo, h_lo)));
    int odd = (quadrant & 1) != 0;  /* there tan is -cos / sin */
    num.hi = odd ? -c.hi : s.hi;
    num.lo = odd ? -c.lo : s.lo;
    den.hi = odd ? s.hi : c.hi;
    den.lo = odd ? s.lo : c.lo;
    real q = num.hi / den.hi;
    real y = q + (M(fma)(-q, den.hi, num.hi) + (num.lo - q * den.lo)) / den.hi;
    return x == 0 ? x : M(from_bits)(M(to_bits)(y) ^ (M(to_bits)(x) & SIGN_BIT));
}
MATH real M(tan_near)(real x) {
    ureal quadrant;
    M(pair) r = M(trig_reduce_near)(M(abs)(x), &quadrant);
    return M(tan_of)(r, quadrant, x);
}
/* One element of any size. Where the near way serves it is taken, so that a value does not depend on its neighbors. */
SHARED real M(sin_any)(real x) { return M(far_angle)(x) ? M(sin)(x) : M(sin_near)(x); }
SHARED real M(cos_any)(real x) { return M(far_angle)(x) ? M(cos)(x) : M(cos_near)(x); }
SHARED real M(tan_any)(real x) {
    ureal quadrant;
    if (!M(far_angle)(x)) return M(tan_near)(x);
    M(pair) r = M(trig_reduce)(M(abs)(x), &quadrant);
    return x != x ? x : M(abs)(x) < REAL_INF ? M(tan_of)(r, quadrant, x) : REAL_NAN;
}

/* sin(pi x), cos(pi x) */
MATH real M(sinpi_shifted)(real x, ureal shift, ureal sign) {
    real a = M(abs)(x), b = (real)2 * (a - (real)2 * M(round)((real)0.5 * a));  /* all exact; |b| <= 2 */
    real t = b + MAGIC, f = b - (t - MAGIC);
    M(pair) r = M(two_prod)(f, PI_2_HI);
    r.lo = M(fma)(f, PI_2_LO, r.lo);
    ureal quadrant = M(to_bits)(t) + shift;
    real s = r.hi + M(sin_rest)(r), y = quadrant & 1 ? M(cos_poly)(r) : s;
    y = M(from_bits)(M(to_bits)(y) ^ sign ^ (quadrant >> 1 << (sizeof(real) * 8 - 1)));
    y = a < REAL_INF ? y : REAL_NAN;
    return x != x ? x : y;
}
MATH real M(sinpi)(real x) { return M(sinpi_shifted)(x, 0, M(to_bits)(x) & SIGN_BIT); }
MATH real M(cospi)(real x) { return M(sinpi_shifted)(x, 1, 0); }
/* sin(pi x) / (pi x) */
MATH real M(sinc)(real x) {
    real y = M(sinpi)(x) / (x * (real)2 * PI_2_HI);
    return M(abs)(x) < (real)0x1p-40 ? 1 : y;
}

/* atan(a / b) = hi + lo for a, b >= 0, not both 0, neither infinite: atan(a / b) itself, or from pi/4, or from pi/2.
 * With a negative `sign` of b it is pi - atan(a / b). */
MATH real M(atan_ratio)(real a, real b, real sign) {
    int reflect = sign < 0, high = a > (real)2.414213562 * b, low = a < (real)0.414213562 * b;
    M(pair) diff = M(two_sum)(a, -b), sum = M(two_sum)(a, b);
    real num = high ? -b : low ? a : diff.hi, num_lo = high | low ? 0 : diff.lo;
    real den = high ? a : low ? b : sum.hi, den_lo = high | low ? 0 : sum.lo;
    real z = num / den, z_lo = (M(fma)(-z, den, num) + (num_lo - z * den_lo)) / den;
    real hi = high ? PI_2_HI : low ? 0 : (real)0.5 * PI_2_HI, lo = high ? PI_2_LO : low ? 0 : (real)0.5 * PI_2_LO;
    hi = reflect ? (high ? PI_2_HI : low ? (real)2 * PI_2_HI : THREE_PI_4_HI) : hi;
    lo = reflect ? (high ? PI_2_LO : low ? (real)2 * PI_2_LO : THREE_PI_4_LO) : lo;
    z = reflect ? -z : z;
    z_lo = reflect ? -z_lo : z_lo;
    real w = z * z, rest = M(fma)(w * z, POLY(w, ATAN_C), lo + z_lo);
    M(pair) y = M(fast_sum)(hi, z);
    return y.hi + (y.lo + rest);
}
MATH real M(atan)(real x) {
    real a = M(abs)(x), big = a > TWO_MANT * (real)256 ? TWO_MANT * (real)256 : a;
    real y = M(copysign)(M(atan_ratio)(big, 1, 1), x);
    y = a < (real)0x1p-40 ? x : y;
    return x != x ? x : y;
}
MATH real M(atan2)(real y, real x) {
    real a = M(abs)(y), b = M(abs)(x);
    real a1 = a == REAL_INF ? 1 : b == REAL_INF ? 0 : a, b1 = b == REAL_INF ? 1 : a == REAL_INF ? 0 : b;
    b1 = a1 + b1 == 0 ? 1 : b1;
    real top = a1 > b1 ? a1 : b1, unit = (real)1 / TWO_MANT;
    real scale = top > (real)0.25 / (REAL_MIN * TWO_MANT) ? unit * unit : 1;
    scale = top < REAL_MIN * TWO_MANT * TWO_MANT ? TWO_MANT * TWO_MANT : scale;
    real t = M(copysign)(M(atan_ratio)(a1 * scale, b1 * scale, M(copysign)(1, x)), y);
    return x != x ? x : y != y ? y : t;
}

/* asin(x) for |x| <= 1/2, and with x = sqrt((1 - |x|) / 2) for the rest */
MATH real M(asin)(real x) {
    real a = M(abs)(x), far_w = ((real)1 - a) * (real)0.5;
    int near = a < (real)0.5;
    real w = near ? a * a : far_w, r = near ? a : M(sqrt)(w), rest = r * w * POLY(w, ASIN_C);
    real r_lo = M(fma)(-r, r, w) / ((real)2 * r);  /* what the square root lacks */
    r_lo = r == 0 ? 0 : r_lo;
    M(pair) y = M(fast_sum)(PI_2_HI, (real)-2 * r);
    real far_y = y.hi + (y.lo + (PI_2_LO - (real)2 * (rest + r_lo)));
    return x != x ? x : a > 1 ? REAL_NAN : M(copysign)(near ? r + rest : far_y, x);
}
MATH real M(acos)(real x) {
    real a = M(abs)(x), far_w = ((real)1 - a) * (real)0.5;
    int near = a < (real)0.5;
    real w = near ? a * a : far_w, r = near ? x : M(sqrt)(w), rest = r * w * POLY(w, ASIN_C);
    real r_lo = M(fma)(-r, r, w) / ((real)2 * r);
    r_lo = near || r == 0 ? 0 : r_lo;
    real hi = near ? PI_2_HI : x < 0 ? (real)2 * PI_2_HI : 0, lo = near ? PI_2_LO : x < 0 ? (real)2 * PI_2_LO : 0;
    real times = near ? -1 : x < 0 ? -2 : 2;
    M(pair) y = M(fast_sum)(hi, times * r);
    real result = y.hi + (y.lo + M(fma)(times, rest + r_lo, lo));
    return x != x ? x : a > 1 ? REAL_NAN : result;
}
#undef SIN_C
#undef COS_C
#undef ATAN_C
#undef ASIN_C
#undef THREE_PI_4_HI
#undef THREE_PI_4_LO
#undef PI_2_HI
#undef PI_2_LO
