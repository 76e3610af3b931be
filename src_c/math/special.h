/* special.h: lgamma, digamma, polygamma and the modified Bessel functions, computed in double for either T.
 * These have branches and loops: they do not vectorise. */

/* lgamma(1 + x) for 0 <= x <= 1: x (x - 1) times a polynomial in t = x - 1/2, so that both zeros are kept */
static inline double special_lgamma_unit(double x) {
    double t = x - 0.5;
    return x * (x - 1) * POLY(t,
        0x1.eeb95b094c191p-2, -0x1.2aed059bd6085p-3, 0x1.01af62a29299cp-4, -0x1.007aa83cefa2cp-5, 0x1.1334235283d06p-6,
        -0x1.34dbda1285f70p-7, 0x1.64f066488f48ep-8, -0x1.a503537a2f400p-9, 0x1.f814bc3a89683p-10,
        -0x1.313e52862e774p-10, 0x1.750a4b8751f88p-11, -0x1.cb50441780711p-12, 0x1.1c8174c22078ap-12,
        -0x1.618416b669297p-13, 0x1.b99b8c7074edap-14, -0x1.1cfbf89b42e76p-14, 0x1.6adf3a97352e0p-15,
        -0x1.683a603a76c1dp-16, 0x1.abec0407a12ddp-17, -0x1.3713cee17be1ap-16, 0x1.a2f8d86538ff2p-17);
}
/* log|Gamma(x)|: the polynomial with the recurrence below 8, Stirling's series above, the reflection below 0 */
SHARED double special_lgamma(double x) {
    double a = M(abs)(x), y;
    if (x != x) return x;
    if (a == __builtin_inf()) return a;
    if (a < 0x1p-60) return -M(log)(a);
    if (x <= 0 && M(floor)(x) == x) return __builtin_inf();
    if (a < 1) {
        y = special_lgamma_unit(a) - M(log)(a);
    } else if (a < 8) {
        double product = 1, r = a;
        while (r > 2) r -= 1, product *= r;
        y = special_lgamma_unit(r - 1) + M(log)(product);
    } else {
        double r = 1 / a;
        y = (a - 0.5) * M(log)(a) - a + (0.91893853320467274178 + r * POLY(r * r, 1.0 / 12, -1.0 / 360, 1.0 / 1260,
            -1.0 / 1680, 1.0 / 1188, -691.0 / 360360, 1.0 / 156, -3617.0 / 122400));
    }
    return x > 0 ? y : M(log)(3.14159265358979323846 / (a * M(abs)(M(sinpi)(a)))) - y;
}
/* Gamma'(x) / Gamma(x) */
SHARED double special_digamma(double x) {
    if (x == 0) return M(copysign)(__builtin_inf(), -x);
    if (x < 0) {
        if (M(floor)(x) == x) return __builtin_nan("");
        return special_digamma(1 - x) - 3.14159265358979323846 * M(cospi)(x) / M(sinpi)(x);
    }
    double sum = 0;
    for (; x < 10; x += 1) sum -= 1 / x;
    double r = 1 / x, w = r * r;
    return sum + (M(log)(x) - 0.5 * r - w * POLY(w, 1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132,
                                                   -691.0 / 32760, 1.0 / 12));
}
/* x^-s for an integer s >= 1 */
static inline double special_power(double x, double s) {
    double y = 1, base = 1 / x;
    for (int64_t n = (int64_t)s; n > 0; n >>= 1, base *= base) y = n & 1 ? y * base : y;
    return y;
}
/* Hurwitz's zeta(s, q), the sum of (q + k)^-s over k >= 0, for an integer s >= 2 and q > 0: Euler and Maclaurin */
SHARED double special_zeta(double s, double q) {
    static const double b[] = {1.0 / 12, -1.0 / 720, 1.0 / 30240, -1.0 / 1209600, 1.0 / 47900160,
                               -691.0 / 1307674368000.0, 1.0 / 74724249600.0, -3617.0 / 10670622842880000.0};
    double sum = 0, limit = s + 12;
    for (; q < limit; q += 1) {
        double term = special_power(q, s);
        sum += term;
        if (term < 1e-18 * sum) return sum;
    }
    double r = 1 / q, power = special_power(q, s), tail = 0.5, rising = s * r;
    for (int j = 0; j < 8; j++) {
        tail += b[j] * rising;
        rising *= (s + 2 * j + 1) * r * (s + 2 * j + 2) * r;
    }
    return q == __builtin_inf() ? sum : sum + power * (q / (s - 1) + tail);
}
/* The n-th derivative of digamma: (-1)^(n+1) n! zeta(n + 1, x). Below 0 the sum over all integers, which depends on the
 * fraction of x alone, replaces the many terms. */
SHARED double special_polygamma(double n, double x) {
    if (n == 0) return special_digamma(x);
    if (x != x || !(n > 0) || n > 170 || M(floor)(n) != n) return x != x ? x : __builtin_nan("");
    double s = n + 1, factor = M(floor)(0.5 * n) * 2 == n ? -1 : 1, parity = -factor, f = x - M(floor)(x), z;
    for (double k = 2; k <= n; k += 1) factor *= k;
    if (x <= 0 && f == 0) return factor * __builtin_inf();
    if (x > 0)
        z = special_zeta(s, x);
    else
        z = special_zeta(s, f) - parity * (special_zeta(s, 1 - f) - special_zeta(s, 1 - x));
    return factor * z;
}
/* e^-x I_v(x) for x >= 0, v = 0 or 1: the power series, or the asymptotic one where it is exact to rounding */
SHARED double special_bessel(int v, double x) {
    double term = 1, sum = 1, slope = 0;
    if (x <= 20) {
        M(pair) w = M(two_prod)(0.5 * x, 0.5 * x);
        for (int k = 1; term > 1e-17 * sum; k++) {
            term *= w.hi / ((double)k * (k + v));
            sum += term;
            slope += k * term;  /* the derivative by log(w), to make up for the rounding of w */
        }
        sum += w.hi > 0 ? slope * (w.lo / w.hi) : 0;
        return (v ? 0.5 * x : 1) * sum * M(exp)(-x);
    }
    for (int k = 1; k < 40 && M(abs)(term) > 1e-17; k++) {
        term *= ((2.0 * k - 1) * (2.0 * k - 1) - 4 * v) / (8 * x * k);
        sum += term;
    }
    return sum / (2.50662827463100050242 * M(sqrt)(x));
}
/* I_v(x), with e^|x| in two factors: it may overflow before the product does */
static inline double special_bessel_full(int v, double x) {
    double a = M(abs)(x), half = M(exp)(0.5 * a), y = a > 1000 ? __builtin_inf() : special_bessel(v, a) * half * half;
    return v ? M(copysign)(y, x) : y;
}

MATH T m_lgamma(T x) { return (T)special_lgamma((double)x); }
MATH T m_digamma(T x) { return (T)special_digamma((double)x); }
MATH T m_polygamma(T n, T x) { return (T)special_polygamma((double)n, (double)x); }
MATH T m_i0(T x) { return x != x ? x : (T)special_bessel_full(0, (double)x); }
MATH T m_i1(T x) { return x != x ? x : (T)special_bessel_full(1, (double)x); }
MATH T m_i0e(T x) { return x != x ? x : (T)special_bessel(0, M(abs)((double)x)); }
MATH T m_i1e(T x) { return x != x ? x : (T)M(copysign)(special_bessel(1, M(abs)((double)x)), (double)x); }
