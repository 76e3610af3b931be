/* bits.h: bit casts, sign handling, comparisons with NaN rules, and sums and products in two pieces. */
MATH real M(fma)(real a, real b, real c) {
#if REAL_IS_F32
    return __builtin_fmaf(a, b, c);
#else
    return __builtin_fma(a, b, c);
#endif
}
static inline ureal M(to_bits)(real x) {
    ureal u;
    memcpy(&u, &x, sizeof u);
    return u;
}
MATH real M(from_bits)(ureal u) {
    real x;
    memcpy(&x, &u, sizeof x);
    return x;
}
MATH real M(abs)(real x) { return M(from_bits)(M(to_bits)(x) & ~SIGN_BIT); }
MATH real M(copysign)(real x, real s) {
    return M(from_bits)((M(to_bits)(x) & ~SIGN_BIT) | (M(to_bits)(s) & SIGN_BIT));
}
MATH real M(sqrt)(real x) {
#if REAL_IS_F32
    return __builtin_sqrtf(x);
#else
    return __builtin_sqrt(x);
#endif
}
MATH real M(rsqrt)(real x) { return (real)1 / M(sqrt)(x); }
MATH int M(signbit)(real x) { return (M(to_bits)(x) & SIGN_BIT) != 0; }
MATH int M(isnan)(real x) { return x != x; }
MATH int M(isinf)(real x) { return M(abs)(x) == REAL_INF; }
MATH int M(isfinite)(real x) { return M(abs)(x) < REAL_INF; }
MATH int M(isposinf)(real x) { return x == REAL_INF; }
MATH int M(isneginf)(real x) { return x == -REAL_INF; }

/* c ? a : b without a jump, in the last elements of a run, too: which way it goes cannot be foreseen. */
MATH real M(where)(int c, real a, real b) {
    return M(from_bits)(M(to_bits)(b) ^ ((M(to_bits)(a) ^ M(to_bits)(b)) & -(ureal)(c != 0)));
}

/* NaN gives 0, as in PyTorch */
MATH real M(sign)(real x) { return x > 0 ? (real)1 : x < 0 ? (real)-1 : (real)0; }
MATH real M(heaviside)(real x, real at_zero) { return x == 0 ? at_zero : x > 0 ? (real)1 : (real)0; }

/* a comparison with NaN is false: b is taken then, which is right where b is the NaN */
MATH real M(maximum)(real a, real b) { return (a != a) | (a > b) ? a : b; }
MATH real M(minimum)(real a, real b) { return (a != a) | (a < b) ? a : b; }
MATH real M(fmax)(real a, real b) { return (b != b) | (a > b) ? a : b; }
MATH real M(fmin)(real a, real b) { return (b != b) | (a < b) ? a : b; }

MATH real M(clamp_min)(real x, real low) { return x < low ? low : x; }
MATH real M(clamp_max)(real x, real high) { return x > high ? high : x; }

MATH real M(nextafter)(real a, real b) {
    ureal u = M(to_bits)(a);
    ureal one_on = (a < b) == (a > 0) ? u + 1 : u - 1;
    real next = a == 0 ? M(copysign)(M(from_bits)(1), b) : M(from_bits)(one_on);
    return a == b ? b : a != a ? a : b != b ? b : next;
}

/* A number in two pieces, hi + lo, where hi is the sum rounded. */
typedef struct {
    real hi, lo;
} M(pair);

/* a + b exactly; |a| >= |b| or a == 0 */
MATH M(pair) M(fast_sum)(real a, real b) {
    real s = a + b;
    return (M(pair)){s, (a - s) + b};
}
/* a + b exactly */
MATH M(pair) M(two_sum)(real a, real b) {
    real s = a + b, a_part = s - b, b_part = s - a_part;
    return (M(pair)){s, (a - a_part) + (b - b_part)};
}
/* a * b exactly */
MATH M(pair) M(two_prod)(real a, real b) {
    real p = a * b;
    return (M(pair)){p, M(fma)(a, b, -p)};
}
/* x^3, rounded nearly as if once where the square does not overflow */
MATH real M(cube)(real x) {
    M(pair) p = M(two_prod)(x, x);
    return p.hi < REAL_INF ? M(fma)(p.hi, x, p.lo * x) : p.hi * x;
}
