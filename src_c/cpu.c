/* cpu.c: which of the levels in this build the processor runs. Compiled for the baseline only: it must run anywhere. */
#include "mtb.h"
#include <string.h>

/* MTB_LEVELS is the build's list, worst first: LEVEL(generic) LEVEL(v3) LEVEL(v4), or LEVEL(generic) LEVEL(neon). */
#define LEVEL(name) extern const mtb_level mtb_level_##name;
MTB_LEVELS
#undef LEVEL

#if defined(__x86_64__)
static int runs_v3(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}
static int runs_v4(void) {
    return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#else
static int runs_neon(void) { return 1; } /* part of every 64-bit ARM processor */
#endif
static int runs_generic(void) { return 1; }

const mtb_level *mtb_nth_level(int i) {
#define LEVEL(name) \
    if (runs_##name() && i-- == 0) return &mtb_level_##name;
    MTB_LEVELS
#undef LEVEL
    return NULL;
}

const mtb_level *mtb_best_level(void) {
    const mtb_level *best = NULL, *next;
    for (int i = 0; (next = mtb_nth_level(i)) != NULL; i++) best = next;
    return best;
}

const mtb_level *mtb_find_level(const char *name) {
    const mtb_level *level;
    for (int i = 0; (level = mtb_nth_level(i)) != NULL; i++)
        if (strcmp(level->name, name) == 0) return level;
    return NULL;
}
