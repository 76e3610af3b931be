/* pow.h: pow and hypot, for either T computed in double; they still vectorise. */

#if MTB_T_f32
/* a^y of a float a > 0 in double, to 2^-29: what a float needs of the polynomials of log and exp, without the edges. */
MATH double M(pow_core)(double a, double y) {
    uint64_t u = M(to_bits)(a) + (((uint64_t)1023 << 52) - 0x3fe6a09e667f3bcdu);
    double f = M(from_bits)((u & (((uint64_t)1 << 52) - 1)) + 0x3fe6a09e667f3bcdu) - 1;
    double k = M(from_bits)(M(to_bits)(0x1p52) + (u >> 52)) - (0x1p52 + 1023);
    double s = f / (2 + f), w = s * s;
    double rest = w * POLY(w, 0x1.555554fd406f1p-1, 0x1.999a7b3ca19e3p-2, 0x1.2438a83bd4464p-2, 0x1.e2fdda3a80220p-3);
    double z = y * M(fma)(k, 0x1.62e42fefa39efp-1, f - s * (f - rest));
    z = z > 100 ? 100 : z < -120 ? -120 : z;
    double t = M(fma)(z, 1.4426950408889634, 0x1.8p52), r = M(fma)(-(t - 0x1.8p52), 0x1.62e42fefa39efp-1, z);
    double p = POLY(r, 0x1.0000000261bc6p+0, 0x1.0000009c15afep+0, 0x1.fffffaae52b76p-2, 0x1.55540a60e8d70p-3,
                    0x1.55589ad6ad5d7p-5, 0x1.126d1bd604e52p-7, 0x1.6ab93ca355f84p-10);
    return M(from_bits)(M(to_bits)(p) + (M(to_bits)(t) << 52));
}
#endif
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

#if MTB_T_f32
    double r = M(pow_core)(a, y);
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
