# Hooks on tensors, retained gradients, and the grad modes of each thread.

cdef bint retains(Tensor x):
    cdef Node n = node_of(x)
    return n is not None and n.retain is not None and x.out_nr in n.retain and n.retain[x.out_nr]() is x


def retain_grad(Tensor self not None):
    """Let a non-leaf keep its gradient in ``grad``."""
    cdef Node n = node_of(self)
    if n is None:
        if not self.requires_grad_:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        return
    if n.retain is None:
        n.retain = {}
    n.retain[self.out_nr] = weakref.ref(self)


def register_hook(Tensor self not None, hook):
    """Call ``hook(grad)`` whenever a gradient for this tensor is computed; what it returns replaces it."""
    cdef Node n = node_of(self)
    if n is None:
        if not self.requires_grad_:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self.hooks is None:
            self.hooks = {}
        return RemovableHandle(self.hooks.setdefault("tensor", {}), hook)
    if n.pre_hooks is None:
        n.pre_hooks = {}
    return RemovableHandle(n.pre_hooks, hook, self.out_nr)


def register_post_accumulate_grad_hook(Tensor self not None, hook):
    """Call ``hook(self)`` after a gradient was added to this leaf's ``grad``."""
    if node_of(self) is not None or not self.requires_grad_:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    if self.hooks is None:
        self.hooks = {}
    return RemovableHandle(self.hooks.setdefault("post", {}), hook)


for _function in (backward, retain_grad, register_hook, register_post_accumulate_grad_hook):
    install(_function.__name__, _function)


# -- grad modes --------------------------------------------------------------------------------------------------------

def is_grad_enabled():
    """Whether operations are recorded in this thread."""
    return bool(mtb_grad_mode)


def is_inference_mode_enabled():
    """Whether inference mode is on in this thread."""
    return bool(mtb_inference_mode)


def set_modes_(bint recording, bint inference):
    """Set both modes of this thread; returns what they were."""
    was = (bool(mtb_grad_mode), bool(mtb_inference_mode))
    mtb_set_grad_mode(recording)
    mtb_set_inference_mode(inference)
    return was
