/* round.h: rounding to integers and the remainders of a division, all exact. */

#if defined(__SSE4_1__) || defined(__aarch64__) /* one instruction each */
#if REAL_IS_F32
#define ROUNDED(how, x) __builtin_##how##f(x)
#else
#define ROUNDED(how, x) __builtin_##how(x)
#endif
MATH real M(round)(real x) { return ROUNDED(rint, x); }
MATH real M(trunc)(real x) { return ROUNDED(trunc, x); }
MATH real M(floor)(real x) { return ROUNDED(floor, x); }
MATH real M(ceil)(real x) { return ROUNDED(ceil, x); }
#undef ROUNDED
#else
/* Adding and subtracting 2^MANT leaves |x| rounded to an integer, halves to even. */
MATH real M(round)(real x) {
    real a = M(abs)(x), r = (a + TWO_MANT) - TWO_MANT;
    return a < TWO_MANT ? M(copysign)(r, x) : x;
}
MATH real M(trunc)(real x) {
    real a = M(abs)(x), r = (a + TWO_MANT) - TWO_MANT;
    r = r > a ? r - (real)1 : r;
    return a < TWO_MANT ? M(copysign)(r, x) : x;
}
MATH real M(floor)(real x) {
    real r = M(round)(x);
    return r > x ? M(copysign)(r - (real)1, x) : r;
}
MATH real M(ceil)(real x) {
    real r = M(round)(x);
    return r < x ? M(copysign)(r + (real)1, x) : r;
}
#endif
MATH real M(frac)(real x) { return x - M(trunc)(x); }

/* |a| mod |b| by long division of the mantissas: for quotients that do not fit in a mantissa */
static inline real M(fmod_long)(real a, real b) {
    ureal ua = M(to_bits)(a), ub = M(to_bits)(b), unit = (ureal)1 << MANT;
    int ea = (int)(ua >> MANT), eb = (int)(ub >> MANT);
    ua = ea ? (ua & (unit - 1)) | unit : ua;
    ub = eb ? (ub & (unit - 1)) | unit : ub;
    ea += !ea;
    eb += !eb;
    enum { STEP = sizeof(real) * 8 - MANT - 1 };  /* the bits that a remainder can be shifted by without overflow */
    ua %= ub;
    for (int left = ea - eb; left > 0; left -= STEP) ua = (ua << (left < STEP ? left : STEP)) % ub;
    /* ua < 2^(MANT+1) in units of 2^(eb - BIAS - MANT): exact below one unit of the mantissa, so renormalise by hand */
    if (ua == 0) return 0;
    while (ua < unit && eb > 1) ua <<= 1, eb--;
    return M(from_bits)(ua < unit ? ua : ((ua & (unit - 1)) | (ureal)eb << MANT));
}
/* Is the quotient so large that the remainder takes the long way? */
MATH int M(far_division)(real a, real b) {
    return (M(abs)(a) >= M(abs)(b) * (TWO_MANT / 4)) & (b != 0) & (M(abs)(a) < REAL_INF);
}
/* C's fmod, a - trunc(a / b) b with the sign of a, where the quotient is not large; exact */
MATH real M(fmod_near)(real a, real b) {
    real x = M(abs)(a), y = M(abs)(b), q = M(trunc)(x / y), r = M(fma)(-q, y, x);
    r = r < 0 ? r + y : r;  /* the rounded quotient can be one off */
    r = r >= y ? r - y : r;
    r = x < y ? x : r;
    return (x < REAL_INF) & (y > 0) ? M(copysign)(r, a) : REAL_NAN;
}
SHARED real M(fmod)(real a, real b) {
    return M(far_division)(a, b) ? M(copysign)(M(fmod_long)(M(abs)(a), M(abs)(b)), a) : M(fmod_near)(a, b);
}
/* Python's %, with the sign of b, and //, with C's a / 0; r = fmod(a, b) */
MATH int M(across)(real r, real b) { return ((r > 0) & (b < 0)) | ((r < 0) & (b > 0)); }
MATH real M(remainder_of)(real r, real b) { return r + (M(across)(r, b) ? b : (real)-0.0); }
MATH real M(floordiv_of)(real r, real a, real b) {
    real q = (a - r) / b;
    q = q - (M(across)(r, b) ? (real)1 : (real)0);
    real n = M(floor)(q);
    n = n + (q - n > (real)0.5 ? (real)1 : (real)-0.0);
    n = q == 0 ? M(copysign)(0, a / b) : n;
    return b == 0 ? a / b : n;
}
MATH real M(remainder_near)(real a, real b) { return M(remainder_of)(M(fmod_near)(a, b), b); }
MATH real M(floordiv_near)(real a, real b) { return M(floordiv_of)(M(fmod_near)(a, b), a, b); }
SHARED real M(remainder)(real a, real b) { return M(remainder_of)(M(fmod)(a, b), b); }
SHARED real M(floordiv)(real a, real b) { return M(floordiv_of)(M(fmod)(a, b), a, b); }
MATH real M(truncdiv)(real a, real b) { return M(trunc)(a / b); }
