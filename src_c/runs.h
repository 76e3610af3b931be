/* runs.h: what the drivers do by the thousand: a copy of one run, and one loop over many rows. */
#ifndef MTB_RUNS_H
#define MTB_RUNS_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The C library's memcpy: a compiler that optimizes for size puts `rep movs` in its place, which is slow to start. */
static void *(*const volatile mtb_library_copy)(void *, const void *, size_t) = memcpy;

/* From 4 KB on the library, too, takes `rep movs`, and on Zen processors that takes fifteen times as long where the target
 * is less than a cache line ahead of the source, counted within a page: it goes in pieces then. */
static inline void mtb_copy_run(void *dst, const void *src, size_t n) {
    if (n >= 4096 && (((uintptr_t)dst - (uintptr_t)src) & 4095) < 64)
        for (; n >= 4096; n -= 2048, dst = (char *)dst + 2048, src = (const char *)src + 2048)
            mtb_library_copy(dst, src, 2048);
    mtb_library_copy(dst, src, n);
}

/* f (NULL: a copy of p[1], row_bytes long) on each of `rows` rows of n elements; p, `count` of them, moves on by step. */
static inline void mtb_run_rows(void (*f)(void *const *, int64_t, const double *), void **p, const int64_t *step, int count,
                                int64_t rows, int64_t n, int64_t row_bytes, const double *k) {
    for (; rows > 0; rows--) {
        if (f)
            f(p, n, k);
        else
            mtb_copy_run(p[0], p[1], (size_t)row_bytes);
        for (int i = 0; i < count; i++) p[i] = (char *)p[i] + step[i];
    }
}
#endif
