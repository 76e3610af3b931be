/* matmul_ladder.c: one product of n x n matrices, from three loops to the kernel, each step beside the machine's peak.
 *
 *     gcc -O2 -march=x86-64-v3 -fopenmp -Isrc_c bench/matmul_ladder.c gemm_v3_f32.o -o ladder    (from build/)
 *     ./ladder 1024
 *
 * The table in docs/kernels/matmul.md is its output. The best of several turns counts, as other work only adds time. */
#include <immintrin.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "api/gemm.h"

extern const mtb_gemm mtb_gemm_v3_f32;
static const mtb_gemm *const kernel = &mtb_gemm_v3_f32;
static float *A, *B, *C, *packed_a, *packed_b;
static int n, threads;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

/* Twelve independent chains of multiply-adds in registers: all that a core can do. */
static void peak(void) {
    const float one = 1;
    long turns = 1 << 20;
    __asm__ volatile("vbroadcastss (%1), %%ymm15\n"
                     "1:\n"
#define F(r) "vfmadd231ps %%ymm15, %%ymm15, %%ymm" #r "\n"
                     F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
                     "dec %0\n jnz 1b\n"
                     : "+r"(turns)
                     : "r"(&one)
                     : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm15");
}

static void three_loops(void) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            float s = 0;
            for (int p = 0; p < n; p++) s += A[i * n + p] * B[p * n + j];
            C[i * n + j] = s;
        }
}

/* The inner loop runs along rows: vectors, but each multiply-add loads and stores its element of C. */
static void row_by_row(void) {
    memset(C, 0, sizeof(float) * n * n);
    for (int i = 0; i < n; i++)
        for (int p = 0; p < n; p++) {
            const __m256 x = _mm256_broadcast_ss(A + i * n + p);
            for (int j = 0; j < n; j += 8) {
                float *c = C + i * n + j;
                _mm256_storeu_ps(c, _mm256_fmadd_ps(x, _mm256_loadu_ps(B + p * n + j), _mm256_loadu_ps(c)));
            }
        }
}

/* The same, for blocks of B that stay in the second-level cache. */
static void blocked(void) {
    memset(C, 0, sizeof(float) * n * n);
    for (int p0 = 0; p0 < n; p0 += 128)
        for (int j0 = 0; j0 < n; j0 += 256)
            for (int i = 0; i < n; i++)
                for (int p = p0; p < p0 + 128 && p < n; p++) {
                    const __m256 x = _mm256_broadcast_ss(A + i * n + p);
                    for (int j = j0; j < j0 + 256 && j < n; j += 8) {
                        float *c = C + i * n + j;
                        _mm256_storeu_ps(c, _mm256_fmadd_ps(x, _mm256_loadu_ps(B + p * n + j), _mm256_loadu_ps(c)));
                    }
                }
}

/* Sums stay in registers for a whole block of K; operands where they lie. */
static void tiles(void) {
    for (int p = 0; p < n; p += MTB_KC)
        for (int j = 0; j < n; j += kernel->nr)
            for (int i = 0; i < n; i += kernel->mr)
                kernel->strip(n - i < kernel->mr ? n - i : kernel->mr, kernel->nr, n - p < MTB_KC ? n - p : MTB_KC,
                              A + i * n + p, n, 1, B + p * n + j, n, C + i * n + j, n, p > 0, NULL, NULL);
}

/* Panels of B and tiles of A are copied together first; by rows to the threads. */
static void packed(void) {
    enum { ROWS = 22 };
    const int mr = kernel->mr, nr = kernel->nr, tile = mr * MTB_KC + 16;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for collapse(2)
        for (int p = 0; p < n; p += MTB_KC)
            for (int j = 0; j < n; j += nr)
                kernel->pack(packed_b + p * n + j * MTB_KC, nr, B + p * n + j, 1, nr, n, MTB_KC);
#pragma omp for schedule(dynamic)
        for (int i = 0; i < n; i += ROWS * mr) {
            float *own = packed_a + (size_t)omp_get_thread_num() * ROWS * tile;
            const int m = n - i < ROWS * mr ? n - i : ROWS * mr;
            for (int p = 0; p < n; p += MTB_KC) {
                for (int t = 0; t < m; t += mr)
                    kernel->pack(own + t / mr * tile, mr, A + (i + t) * n + p, n, m - t < mr ? m - t : mr, 1, MTB_KC);
                kernel->block(m, mr, n, MTB_KC, own, tile, 1, mr, packed_b + p * n, C + i * n, n, p > 0, NULL);
            }
        }
    }
}

static double best(void (*f)(void), int turns) {
    double least = 1e9;
    for (int i = 0; i < turns; i++) {
        const double t = now();
        f();
        const double d = now() - t;
        if (d < least) least = d;
    }
    return least;
}

static void all_peaks(void) {
#pragma omp parallel num_threads(threads)
    peak();
}

int main(int count, char **words) {
    n = count > 1 ? atoi(words[1]) / MTB_KC * MTB_KC : 1024;
    const int most = omp_get_max_threads();
    const size_t size = sizeof(float) * n * n;
    A = aligned_alloc(64, size), B = aligned_alloc(64, size), C = aligned_alloc(64, size);
    packed_b = aligned_alloc(64, size), packed_a = aligned_alloc(64, size + (1 << 20) * (size_t)most);
    for (int i = 0; i < n * n; i++) A[i] = rand() / (float)RAND_MAX, B[i] = rand() / (float)RAND_MAX;
    double speed[2], t;
    for (int i = 0; i < 2; i++) {
        threads = i ? most : 1;
        speed[i] = threads * 12. * 16 * (1 << 20) / best(all_peaks, 20) * 1e-9;
        printf("peak, %d thread(s)                 %8.1f GFLOP/s\n", threads, speed[i]);
    }
    struct { const char *name; void (*f)(void); int turns, many; } steps[] = {
        {"three loops", three_loops, 2, 0}, {"along rows, in vectors", row_by_row, 4, 0}, {"blocked", blocked, 4, 0},
        {"register tiles", tiles, 8, 0}, {"packed", packed, 20, 0}, {"packed, all threads", packed, 40, 1},
    };
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        threads = steps[i].many ? most : 1;
        t = best(steps[i].f, steps[i].turns);
        printf("%-24s %9.1f ms %8.1f GFLOP/s %5.1f %% of peak\n", steps[i].name, t * 1e3, 2e-9 * n * n * n / t,
               2e-9 * n * n * n / t / speed[steps[i].many] * 100);
    }
}
