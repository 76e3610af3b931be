/* What this machine can do at most: fused multiply-adds in registers, and copies of a working set of a given size. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#ifdef __AVX512F__
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define CHAINS 12 /* independent sums: enough to hide the latency of a multiply-add on two units */

#define FMA_RATE(T)                                                                                                   \
    double fma_rate_##T(int threads, long steps) {                                                                    \
        typedef T vec __attribute__((vector_size(BYTES)));                                                            \
        volatile T sink = 0;                                                                                          \
        double start = 0, end = 0;                                                                                    \
        _Pragma("omp parallel num_threads(threads)") {                                                                \
            vec sum[CHAINS], a, b;                                                                                    \
            for (int i = 0; i < CHAINS; i++) sum[i] = (vec){0} + (T)i;                                                \
            a = (vec){0} + (T)0.999 + (T)sink, b = (vec){0} + (T)0.001;                                               \
            _Pragma("omp barrier") _Pragma("omp master") start = omp_get_wtime();                                     \
            for (long s = 0; s < steps; s++)                                                                          \
                _Pragma("GCC unroll 12") for (int i = 0; i < CHAINS; i++) sum[i] = sum[i] * a + b;                    \
            _Pragma("omp barrier") _Pragma("omp master") end = omp_get_wtime();                                       \
            for (int i = 0; i < CHAINS; i++) sink += sum[i][0];                                                       \
        }                                                                                                             \
        return 2.0 * threads * CHAINS * (BYTES / sizeof(T)) * steps / (end - start);                                  \
    }
FMA_RATE(float)
FMA_RATE(double)

/* Bytes read and written in a second by threads that copy one half of a working set of `bytes` to the other. */
double copy_rate(int threads, long bytes, long rounds) {
    long part = bytes / 2 / threads & -64;
    char *from, *to;
    if (part == 0 || posix_memalign((void **)&from, 4096, part * threads)) return 0;
    if (posix_memalign((void **)&to, 4096, part * threads)) return free(from), 0;
    double start = 0, end = 0;
#pragma omp parallel num_threads(threads)
    {
        long at = part * omp_get_thread_num();
        memset(from + at, 1, part), memset(to + at, 1, part);
#pragma omp barrier
#pragma omp master
        start = omp_get_wtime();
        for (long r = 0; r < rounds; r++) {
            memcpy(to + at, from + at, part);
            __asm__ volatile("" ::: "memory");
        }
#pragma omp barrier
#pragma omp master
        end = omp_get_wtime();
    }
    free(from), free(to);
    return 2.0 * part * threads * rounds / (end - start);
}
