/* pow.h: pow and hypot, for either T computed in double; they still vectorise. */

/* |x|^y = exp(y log|x|) with the logarithm in two pieces; then the special cases of C. What depends on y alone is made
 * into bit masks, not conditions: else a loop with one y for all x would not vectorise. */
MATH double M(pow_real)(double x, double y) {
    double a = M(abs)(x), inf = __builtin_inf(), half = 0.5 * y;
    uint64_t sign = (uint64_t)1 << 63, inf_bits = M(to_bits)(inf), nan_bits = M(to_bits)(__builtin_nan(""));
    uint64_t integer = M(round)(y) == y, even = (M(round)(half) == half) | (M(abs)(y) >= 0x1p53);
    uint64_t if_minus = (integer & (even ^ 1)) << 63, if_fraction = nan_bits * (integer ^ 1);
    uint64_t if_nan = nan_bits * (uint64_t)(y != y), unless_zero = (uint64_t)(y == 0) - 1;
    double at_zero = M(from_bits)(inf_bits * (M(to_bits)(y) >> 63));
    double at_inf = M(from_bits)(inf_bits - M(to_bits)(at_zero));

#if MTB_T_f32 /* double alone has digits enough */
    double r = M(exp)(y * M(log)(a));
#else
    M(pair) l = M(log_pair)(a), p = M(two_prod)(l.hi, y);
    p.lo = M(fma)(l.lo, y, p.lo);
    p.lo = M(abs)(p.hi) < 1e4 ? p.lo : 0;  /* beyond, exp is 0 or infinite, and lo may be NaN */
    double r = M(exp_pair)(p.hi, p.lo, 0);
#endif
    r = a == 0 ? at_zero : r;
    r = a == inf ? at_inf : r;
    r = a == 1 ? 1 : r;
    double of_negative = M(from_bits)(M(to_bits)(r) | if_fraction);
    r = (x < 0) & (a < inf) ? of_negative : r;
    r = M(from_bits)((M(to_bits)(r) ^ (if_minus & M(to_bits)(x) & sign)) | if_nan);
    r = r == r ? r : __builtin_nan("");
    r = x != x ? x : r;
    r = x == 1 ? 1 : r;
    return M(from_bits)((M(to_bits)(r) & unless_zero) | (M(to_bits)(1) & ~unless_zero));
}
MATH T m_pow(T x, T y) { return (T)M(pow_real)((double)x, (double)y); }

MATH T m_hypot(T a, T b) {
    double x = M(abs)((double)a), y = M(abs)((double)b), inf = __builtin_inf();
    double high = x > y ? x : y, low = x > y ? y : x;
    double s = high > 0x1p500 ? 0x1p-600 : high < 0x1p-450 ? 0x1p600 : 1.0;
    double r = M(sqrt)(M(fma)(high * s, high * s, (low * s) * (low * s))) / s;
    return (x == inf) | (y == inf) ? (T)inf : a != a ? a : b != b ? b : (T)r;
}
