/* pow.h: pow and hypot, for either T computed in double; they still vectorise. */

/* |x|^y = exp(y log|x|) with the logarithm in two pieces; then the special cases of C */
MATH double M(pow_real)(double x, double y) {
    double a = M(abs)(x);
    M(pair) l = M(log_pair)(a), p = M(two_prod)(l.hi, y);
    p.lo = M(fma)(l.lo, y, p.lo);
    p.lo = M(abs)(p.hi) < 1e4 ? p.lo : 0;  /* beyond, exp is 0 or infinite, and lo may be NaN */
    double r = M(exp_pair)(p.hi, p.lo, 0), y_abs = M(abs)(y), inf = __builtin_inf();
    int integer = M(round)(y) == y, odd = integer & (y_abs < 0x1p53) & (M(round)(0.5 * y) != 0.5 * y);
    r = a == 0 ? (y < 0 ? inf : 0.0) : r;
    r = a == inf ? (y < 0 ? 0.0 : inf) : r;
    r = y_abs == inf ? ((a > 1) == (y > 0) ? inf : 0.0) : r;
    r = (y_abs == inf) & (a == 1) ? 1.0 : r;
    int negative = M(signbit)(x);
    r = negative & odd ? -r : r;
    r = (x < 0) & !integer & (a < inf) & (y_abs < inf) ? __builtin_nan("") : r;
    r = x != x ? x : y != y ? y : r;
    return (y == 0) | (x == 1) ? 1.0 : r;
}
MATH T m_pow(T x, T y) { return (T)M(pow_real)((double)x, (double)y); }

MATH T m_hypot(T a, T b) {
    double x = M(abs)((double)a), y = M(abs)((double)b), inf = __builtin_inf();
    double high = x > y ? x : y, low = x > y ? y : x;
    double s = high > 0x1p500 ? 0x1p-600 : high < 0x1p-450 ? 0x1p600 : 1.0;
    double r = M(sqrt)(M(fma)(high * s, high * s, (low * s) * (low * s))) / s;
    return (x == inf) | (y == inf) ? (T)inf : a != a ? a : b != b ? b : (T)r;
}
