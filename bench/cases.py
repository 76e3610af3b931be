"""What the groups of cases share: how a case is made with and without backward, and inputs."""

from harness import case


def forward_backward(t, function, *inputs):
    """Time `function(*inputs)` and the gradients of all that is tracked; the first input is."""
    inputs[0].requires_grad_()
    g = t.ones(function(*inputs).shape)

    def run():
        for x in inputs:
            x.grad = None
        function(*inputs).backward(g)

    return run


def simple(group, name, make, run):
    """A case without grad: `make(t)` gives the inputs once, `run(t, *inputs)` is timed."""

    def prepare(t):
        inputs = make(t)
        return lambda: run(t, *inputs)

    prepare.__module__ = group
    case(name)(prepare)


def trained(group, name, make, run):
    """A case with backward: `make(t)` gives the inputs once; `run(t, *inputs)` and its gradient are timed."""

    def prepare(t):
        return forward_backward(t, lambda *x: run(t, *x), *make(t))

    prepare.__module__ = group
    case(name)(prepare)


def normal(*shape, count=1):
    return lambda t: [t.randn(*shape) for _ in range(count)]


def positive(*shape, count=1):
    return lambda t: [t.rand(*shape) + 0.5 for _ in range(count)]
