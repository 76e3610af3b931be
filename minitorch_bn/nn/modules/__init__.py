"""torch.nn.modules: the layers by the files in which PyTorch defines them, each leading to the file that does here."""
import sys
from importlib import import_module

from minitorch_bn import _names, nn
from minitorch_bn.nn import *  # noqa: F403
from minitorch_bn.nn import (
    Module,
    activation,
    adaptive,
    conv,
    dropout,
    lazy,
    linear,
    loss,
    module,
    pooling,
    transformer,
)
from minitorch_bn.nn import containers as container
from minitorch_bn.nn import embedding as sparse
from minitorch_bn.nn import loss as distance
from minitorch_bn.nn import norm as batchnorm
from minitorch_bn.nn import norm as instancenorm
from minitorch_bn.nn import norm as normalization
from minitorch_bn.nn import recurrent as rnn
from minitorch_bn.nn import shape as channelshuffle
from minitorch_bn.nn import shape as flatten
from minitorch_bn.nn import shape as fold
from minitorch_bn.nn import shape as padding
from minitorch_bn.nn import shape as pixelshuffle
from minitorch_bn.nn import shape as upsampling

TYPE_CHECKING = False
__all__ = ["Module", "activation", "adaptive", "batchnorm", "channelshuffle", "container", "conv", "distance",
           "dropout", "flatten", "fold", "instancenorm", "lazy", "linear", "loss", "module", "normalization",
           "padding", "pixelshuffle", "pooling", "rnn", "sparse", "transformer", "upsampling", "utils"]


def _anywhere(name: str) -> object:
    """A class that PyTorch defines in another of its files than this package does."""
    for home in (nn, *_homes):
        if name in vars(home) and name[:2] != "__":
            return vars(home)[name]
    raise _names.missing("nn.modules", name)


_homes = [nn.attention]
for _name in __all__[1:-1]:
    _module = sys.modules[f"{__name__}.{_name}"] = globals()[_name]
    vars(_module)["__getattr__"] = _anywhere
    _homes.append(_module)
utils = import_module(f"{__name__}.utils")  # in the place of torch.nn.utils, which came with all of torch.nn
if not TYPE_CHECKING:
    __getattr__ = _anywhere
