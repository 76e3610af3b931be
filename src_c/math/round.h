/* round.h: rounding to integers and the remainders of a division, all exact. */

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
/* C's fmod: a - trunc(a / b) b, with the sign of a */
MATH real M(fmod)(real a, real b) {
    real x = M(abs)(a), y = M(abs)(b), q = M(trunc)(x / y);
    if (!(x < REAL_INF) || !(y > 0)) return REAL_NAN;
    if (x < y) return a;
    real r = q < TWO_MANT ? M(fma)(-q, y, x) : M(fmod_long)(x, y);
    r = r < 0 ? r + y : r >= y ? r - y : r;  /* the rounded quotient can be one off */
    return M(copysign)(r, a);
}
/* Python's %: with the sign of b */
MATH real M(remainder)(real a, real b) {
    real r = M(fmod)(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
/* Python's //, with C's a / 0 */
MATH real M(floordiv)(real a, real b) {
    if (b == 0) return a / b;
    real r = M(fmod)(a, b), q = (a - r) / b;
    if (r != 0 && (r < 0) != (b < 0)) q -= (real)1;
    real n = M(floor)(q);
    if (q - n > (real)0.5) n += (real)1;
    return q == 0 ? M(copysign)(0, a / b) : n;
}
MATH real M(truncdiv)(real a, real b) { return M(trunc)(a / b); }
