"""Programs for the tests of results that wait: all that one shows, under each mode of `set_fusion`."""
import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn._core import set_fusion

AT_ONCE, DEFERRED, POISONED = 0, 1, 2  # POISONED: what is deferred holds NaN until it is filled


def everything(mode, program, layer=nn.BatchNorm2d, shape=(4, 6, 5, 7), layout=torch.contiguous_format):
    """All that a program shows: its outputs, the gradients, the state of the layer."""
    set_fusion(mode)
    torch.manual_seed(0)
    x = torch.randn(shape).to(memory_format=layout).requires_grad_()
    other = torch.randn(shape).to(memory_format=layout).requires_grad_()
    norm = layer(shape[1])
    with torch.no_grad():
        norm.weight.uniform_(-1, 2)
        norm.bias.normal_()
    outputs = program(x, other, norm)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    for out in outputs:
        if out.requires_grad:
            out.backward(torch.randn(out.shape), retain_graph=True)
    shown = [*outputs, x.grad, other.grad, norm.weight.grad, norm.bias.grad, *norm.buffers()]
    return [None if t is None else t.detach().numpy().tobytes() for t in shown]


def outcome(mode, program, shape):
    """The same, or how its error begins: an input of a later backward was overwritten."""
    try:
        return everything(mode, program, shape=shape)
    except RuntimeError as error:
        return str(error)[:60]
