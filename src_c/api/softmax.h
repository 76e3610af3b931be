/* api/softmax.h: the kernels of the softmax family. */
#ifndef MTB_API_SOFTMAX_H
#define MTB_API_SOFTMAX_H
#include <stdint.h>
typedef struct {
    int (*placeholder)(void);
} mtb_softmax;
#endif
