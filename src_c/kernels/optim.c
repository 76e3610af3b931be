/* optim.c: one step of SGD or Adam over one run of parameters, in PyTorch's order of operations, one memory pass.
 *
 * Each variant is a copy of one inlined body with its switches known, so that the loop has no branch and vectorizes. */
#include "../kernel.h"
#include <math.h>

#if MTB_T_f32
#define SQRT __builtin_sqrtf
#else
#define SQRT __builtin_sqrt
#endif

enum { NO_MOMENTUM, FIRST, HEAVY_BALL };

INLINE void sgd_run(T *restrict p, const T *restrict g, T *restrict m, int64_t n, const mtb_sgd *o, int momentum,
                    int nesterov, int decay) {
    T sign = o->maximize ? -1 : 1, mu = (T)o->momentum, keep = (T)(1 - o->dampening), wd = (T)o->weight_decay;
    T minus_lr = (T)-o->lr;
    for (int64_t i = 0; i < n; i++) {
        T d = g[i] * sign;
        if (decay) d = d + p[i] * wd;
        if (momentum != NO_MOMENTUM) {
            T b = momentum == FIRST ? d : m[i] * mu + d * keep;
            m[i] = b;
            d = nesterov ? d + b * mu : b;
        }
        p[i] = p[i] + d * minus_lr;
    }
}

/* what: stochastic gradient descent. shapes: all [n]. passes: reads param, grad, momentum; writes param, momentum. */
static void sgd(void *p, const void *g, void *m, int64_t n, const mtb_sgd *o) {
    int momentum = o->momentum == 0 ? NO_MOMENTUM : o->first ? FIRST : HEAVY_BALL;
    int decay = o->weight_decay != 0;
    switch (momentum * 4 + (o->nesterov != 0) * 2 + decay) {
#define CASE(momentum, nesterov, decay) \
    case (momentum) * 4 + (nesterov) * 2 + (decay): sgd_run(p, g, m, n, o, momentum, nesterov, decay); break;
#define CASES(momentum) CASE(momentum, 0, 0) CASE(momentum, 0, 1) CASE(momentum, 1, 0) CASE(momentum, 1, 1)
        CASES(NO_MOMENTUM) CASES(FIRST) CASES(HEAVY_BALL)
#undef CASES
#undef CASE
    }
}

enum { PLAIN, DECAY_BY_GRADIENT, DECAY_DECOUPLED };

INLINE void adam_run(T *restrict p, const T *restrict g, T *restrict m, T *restrict s, T *restrict top, int64_t n,
                     const mtb_adam *o, int decay, int amsgrad) {
    T sign = o->maximize ? -1 : 1, wd = (T)o->weight_decay, shrink = (T)(1 - o->lr * o->weight_decay);
    T w1 = (T)(1 - o->beta1), b2 = (T)o->beta2, w2 = (T)(1 - o->beta2), eps = (T)o->eps;
    T root = (T)sqrt(o->correction2), minus_step = (T)(-o->lr / o->correction1);
    for (int64_t i = 0; i < n; i++) {
        T d = g[i] * sign, x = p[i];
        if (decay == DECAY_DECOUPLED) x = x * shrink;
        if (decay == DECAY_BY_GRADIENT) d = d + x * wd;
        T mean = w1 < (T)0.5 ? m[i] + w1 * (d - m[i]) : d - (d - m[i]) * (1 - w1); /* as torch.lerp */
        T square = s[i] * b2 + w2 * d * d;
        m[i] = mean;
        s[i] = square;
        if (amsgrad) {
            square = top[i] > square || top[i] != top[i] ? top[i] : square;
            top[i] = square;
        }
        p[i] = x + minus_step * mean / (SQRT(square) / root + eps);
    }
}

/* what: Adam and AdamW. shapes: all [n]. passes: reads five arrays, writes four (without amsgrad four and three). */
static void adam(void *p, const void *g, void *m, void *s, void *top, int64_t n, const mtb_adam *o) {
    int decay = o->weight_decay == 0 ? PLAIN : o->decoupled ? DECAY_DECOUPLED : DECAY_BY_GRADIENT;
    switch (decay * 2 + (o->amsgrad != 0)) {
#define CASE(decay, amsgrad) \
    case (decay) * 2 + (amsgrad): adam_run(p, g, m, s, top, n, o, decay, amsgrad); break;
#define CASES(decay) CASE(decay, 0) CASE(decay, 1)
        CASES(PLAIN) CASES(DECAY_BY_GRADIENT) CASES(DECAY_DECOUPLED)
#undef CASES
#undef CASE
    }
}

extern const mtb_optim TABLE(optim);
const mtb_optim TABLE(optim) = {sgd, adam};
