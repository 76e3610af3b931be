/* runs.h: what the drivers do by the thousand: a copy of one run, and one loop over many rows. */
#ifndef MTB_RUNS_H
#define MTB_RUNS_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The C library's: a compiler that optimizes for size puts `rep movs` and `rep stos` in their place, which are slow to
 * start. */
static void *(*const volatile mtb_library_copy)(void *, const void *, size_t) = memcpy;
static void *(*const volatile mtb_library_set)(void *, int, size_t) = memset;

static inline void mtb_clear_run(void *dst, size_t n) { mtb_library_set(dst, 0, n); }

/* From 2 KB on the library, too, takes `rep movs`, and on Zen processors that takes ten times as long where the target
 * is less than a cache line ahead of the source, counted within a page. */
static inline void mtb_copy_run(void *dst, const void *src, size_t n) {
    typedef char part __attribute__((vector_size(16), aligned(1), may_alias));
    if (n >= 1024 && (((uintptr_t)dst - (uintptr_t)src) & 4095) < 64)
        for (; n >= 64; n -= 64, dst = (char *)dst + 64, src = (const char *)src + 64) {
            const part a = ((const part *)src)[0], b = ((const part *)src)[1], c = ((const part *)src)[2],
                       d = ((const part *)src)[3];
            ((part *)dst)[0] = a, ((part *)dst)[1] = b, ((part *)dst)[2] = c, ((part *)dst)[3] = d;
        }
    mtb_library_copy(dst, src, n);
}

/* The lines of a run are wanted soon. */
static inline void mtb_ask(const char *p, int64_t bytes) {
    for (; bytes > 0; bytes -= 64, p += 64) __builtin_prefetch(p);
}

/* f on each of `rows` rows of n elements; `step`: bytes from one to the next, for each of at most six pointers. */
static __attribute__((noinline, unused)) void mtb_run_rows(void (*f)(void *const *, int64_t, const double *),
                                                           void *const *p, const int64_t *step, int64_t rows, int64_t n,
                                                           const double *k) {
    char *a = p[0], *b = p[1], *c = p[2], *d = p[3], *e = p[4], *g = p[5];
    for (; rows > 0; rows--) {
        void *const at[6] = {a, b, c, d, e, g};
        f(at, n, k);
        a += step[0], b += step[1], c += step[2], d += step[3], e += step[4], g += step[5];
    }
}

/* Rows of n elements, `step` elements apart in src, to contiguous rows. */
typedef void mtb_move_run(void *, int64_t, const void *, int64_t, int64_t);
static __attribute__((noinline, unused)) void mtb_move_rows(mtb_move_run *move, char *dst, int64_t dst_row,
                                                            const char *src, int64_t src_row, int64_t step, int size,
                                                            int64_t rows, int64_t n) {
    for (; rows > 0; rows--, dst += dst_row, src += src_row)
        if (step == 1)
            mtb_copy_run(dst, src, (size_t)(n * size));
        else
            move(dst, size, src, step * size, n);
}
#endif
