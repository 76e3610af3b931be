/* intfun.h: what mathfun.h is to float and double, for the integer types: m_add(a, b), m_floordiv(a, b), ... on T.
 *
 * Arithmetic wraps around, and nothing traps: x / 0 is 0 here (the drivers raise the error), and the least number
 * divided by -1 is itself. Bools are T = uint8_t with values 0 and 1.
 */
#ifndef MTB_INTFUN_H
#define MTB_INTFUN_H
#if MTB_T_i64
typedef uint64_t mtb_wide;
#else
typedef uint32_t mtb_wide; /* holds any smaller T; unsigned arithmetic in it wraps, and so does its conversion to T */
#endif
enum { INT_BITS = (int)sizeof(T) * 8, INT_SIGNED = (T)-1 < (T)1 };

#define m_where(p, q, r) ((p) ? (q) : (r))

static inline T m_add(T a, T b) { return (T)((mtb_wide)a + (mtb_wide)b); }
static inline T m_sub(T a, T b) { return (T)((mtb_wide)a - (mtb_wide)b); }
static inline T m_mul(T a, T b) { return (T)((mtb_wide)a * (mtb_wide)b); }
static inline T m_neg(T x) { return (T)((mtb_wide)0 - (mtb_wide)x); }
#if MTB_T_b8 || MTB_T_u8
static inline int m_signbit(T x) { return (void)x, 0; }
#else
static inline int m_signbit(T x) { return x < 0; }
#endif
static inline T m_abs(T x) { return m_signbit(x) ? m_neg(x) : x; }
static inline T m_sign(T x) { return m_signbit(x) ? (T)-1 : (T)(x != 0); }
static inline T m_maximum(T a, T b) { return a > b ? a : b; }
static inline T m_minimum(T a, T b) { return a < b ? a : b; }
static inline T m_clamp_min(T x, T low) { return x < low ? low : x; }

#if MTB_T_i64
static inline T m_truncdiv(T a, T b) {
    if (b == 0) return 0;
    return b == (T)-1 ? m_neg(a) : (T)(a / b);
}
static inline T m_fmod(T a, T b) { return b == 0 || b == (T)-1 ? 0 : (T)(a % b); }
#else
/* A real type with more digits divides by vectors: a / b is an integer, or too far from one to be rounded to it. */
#if MTB_T_i32
typedef double mtb_quotient;
#else
typedef float mtb_quotient;
#endif
static inline T m_truncdiv(T a, T b) {
    const int negates = INT_SIGNED && b == (T)-1;
    const mtb_quotient q = (mtb_quotient)a / (mtb_quotient)(negates | (b == 0) ? 1 : b);
    return b == 0 ? 0 : negates ? m_neg(a) : (T)(int32_t)q;
}
/* C's %: the sign of a */
static inline T m_fmod(T a, T b) { return b == 0 ? 0 : m_sub(a, m_mul(m_truncdiv(a, b), b)); }
#endif
/* Python's %: the sign of b */
static inline T m_remainder(T a, T b) {
    T r = m_fmod(a, b);
    return (r != 0) & (m_signbit(r) != m_signbit(b)) ? (T)(r + b) : r;
}
/* Python's // */
static inline T m_floordiv(T a, T b) {
    T q = m_truncdiv(a, b), r = m_fmod(a, b);
    return (r != 0) & (m_signbit(r) != m_signbit(b)) ? (T)(q - 1) : q;
}
/* a^b; 1 / a^-b rounded towards 0 where b < 0 */
static inline T m_pow(T a, T b) {
    if (m_signbit(b)) return a == (T)1 || (INT_SIGNED && a == (T)-1) ? (T)(b & 1 ? a : 1) : 0;
    mtb_wide y = 1, base = (mtb_wide)a;
    for (mtb_wide n = (mtb_wide)b; n > 0; n >>= 1, base *= base) y = n & 1 ? y * base : y;
    return (T)y;
}
/* Shifts by a negative or too great count give what shifting bit by bit for ever would: 0, or the sign. */
static inline T m_shl(T a, T b) { return m_signbit(b) || b >= INT_BITS ? 0 : (T)((mtb_wide)a << b); }
static inline T m_shr(T a, T b) {
    int last = INT_BITS - 1;
    if (m_signbit(b) || b > last) return m_signbit(a) ? (T)-1 : 0;
    return (T)(a >> b);
}
static inline T m_gcd(T a, T b) {
    mtb_wide x = (mtb_wide)m_abs(a), y = (mtb_wide)m_abs(b);
    while (y != 0) {
        mtb_wide r = x % y;
        x = y;
        y = r;
    }
    return (T)x;
}
static inline T m_lcm(T a, T b) {
    T g = m_gcd(a, b);
    return g == 0 ? 0 : m_abs(m_mul(m_truncdiv(a, g), b));
}
#endif
