"""The kernel drivers: who works on what. Shapes, strides, blocking, scratch memory and OpenMP; no tensors, no
gradients."""
import os

# An idle thread of libgomp spins for milliseconds before it sleeps. On a shared machine that takes the core from
# whoever could use it (this very process, too), so it spins for about a tenth of one, unless the user has said
# otherwise. Must be set before libgomp is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
