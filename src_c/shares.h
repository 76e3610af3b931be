/* shares.h: how the threads of a team share the tasks of an operation.
 *
 * Each has a range of its own, the same part of the whole in every operation, since what a thread wrote last it reads
 * several times faster than what another wrote (cores may have caches of their own at every level). Who is done early
 * takes tasks from the end of another's range, so a thread that comes late or is slow delays nobody. */
#ifndef MTB_SHARES_H
#define MTB_SHARES_H
#include <stdint.h>

enum { MTB_MOST_SHARES = 32 };

typedef struct {
    struct {
        _Alignas(64) int64_t left, first, end; /* how many are left, from where the owner goes up and others go down */
    } of[MTB_MOST_SHARES];
    int count;
} mtb_shares;

static inline void mtb_share_out(mtb_shares *s, int64_t tasks, int threads) {
    const int64_t each = tasks / threads, rest = tasks % threads;
    s->count = threads < MTB_MOST_SHARES ? threads : MTB_MOST_SHARES;
    for (int t = 0; t < s->count; t++) {
        int64_t first = t * each + (t < rest ? t : rest);
        if (t + 1 == s->count) s->of[t].end = tasks;
        else s->of[t].end = first + each + (t < rest);
        s->of[t].first = first;
        s->of[t].left = s->of[t].end - first;
    }
}

/* The next task of that thread, or -1. A range has one owner, so that only `left` and `end` are contended. */
static inline int64_t mtb_next_task(mtb_shares *s, int thread) {
    for (int k = 0; k < s->count; k++) {
        const int t = (thread + k) % s->count;
        if (__atomic_load_n(&s->of[t].left, __ATOMIC_RELAXED) > 0 &&
            __atomic_fetch_sub(&s->of[t].left, 1, __ATOMIC_RELAXED) > 0)
            return t == thread ? s->of[t].first++ : __atomic_sub_fetch(&s->of[t].end, 1, __ATOMIC_RELAXED);
    }
    return -1;
}

#endif
