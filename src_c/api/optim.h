/* api/optim.h: the kernels of the optim family: one update of one run of parameters. */
#ifndef MTB_API_OPTIM_H
#define MTB_API_OPTIM_H
#include <stdint.h>

typedef struct {
    double lr, momentum, dampening, weight_decay;
    int nesterov, maximize;
    int first; /* the momentum buffer is not filled yet: it becomes the gradient */
} mtb_sgd;

typedef struct {
    double lr, beta1, beta2, eps, weight_decay;
    double correction1, correction2; /* 1 - beta1^step, 1 - beta2^step */
    int amsgrad, maximize;
    int decoupled; /* AdamW: weight decay shrinks the parameter, not through the gradient */
} mtb_adam;

typedef struct {
    /* param, grad, momentum[n]; momentum may be NULL if o->momentum is 0 */
    void (*sgd)(void *param, const void *grad, void *momentum, int64_t n, const mtb_sgd *o);
    /* param, grad, mean, square[n], square_max[n] (NULL unless o->amsgrad) */
    void (*adam)(void *param, const void *grad, void *mean, void *square, void *square_max, int64_t n,
                 const mtb_adam *o);
} mtb_optim;
#endif
