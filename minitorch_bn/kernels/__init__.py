"""The kernel drivers: who works on what. Shapes, strides, blocking, scratch memory and OpenMP; no tensors, no gradients."""
