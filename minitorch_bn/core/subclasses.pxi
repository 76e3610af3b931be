# Tensor's subclasses that users write: how they are made, and tensors seen as one of them.

cdef object plain_new = Tensor.__new__     # of an object without memory, as C code makes them


def _new(cls, *args, **kwargs):
    """A tensor of class `cls`, of what Tensor(...) makes of the arguments: none is ever without memory."""
    cdef Tensor t
    if not isinstance(cls, type) or not issubclass(cls, Tensor) or issubclass(cls, Packed):
        raise TypeError(f"Tensor.__new__(X): X is not a class of tensors that can be made ({cls!r})")
    t = plain_new(cls)
    Tensor.__init__(t, *args, **kwargs)
    return t


def _init_subclass(cls, **kwargs):
    """Tell torch.overrides of a class of the user's."""
    if not cls.__module__.startswith("minitorch_bn"):
        from minitorch_bn.overrides import notice
        notice(cls)


def _disabled_torch_function_impl(func, types, args=(), kwargs=None):
    """func(*args, **kwargs): the `__torch_function__` of a class that leaves functions as they are."""
    return func(*args, **(kwargs or {}))


def as_subclass(Tensor self not None, cls):
    """The same values, memory and history, as a tensor of class `cls`."""
    cdef Tensor t, x = self
    if not isinstance(cls, type) or not issubclass(cls, Tensor) or issubclass(cls, Packed):
        raise TypeError(f"as_subclass() wants a subclass of Tensor, not {cls!r}")
    settle_all()
    if self.requires_grad_ and mtb_grad_mode:
        x = make_view(self, self.ndim, self.shape, self.strides, self.data, reshape_vjp, "AliasBackward0",
                      shape_tuple(self))
    t = plain_new(cls)
    adopt(t, x)
    t.node, t.out_nr, t.inference, t.silent = node_of(x), x.out_nr, x.inference, x.silent
    t.base, t.view_version = x.base, x.view_version
    return t


mtb_install(Tensor, "__new__", staticmethod(_new))
mtb_install(Packed, "__new__", staticmethod(_new))
mtb_install(Tensor, "__init_subclass__", classmethod(_init_subclass))
install("as_subclass", as_subclass)
