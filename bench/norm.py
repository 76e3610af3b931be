"""Normalization layers: in training, forward alone and with backward, and in evaluation."""

from harness import case

IMAGES = (32, 64, 28, 28)


def register(name, how, prepare):
    prepare.__module__ = __name__
    case(f"{name}, {how}")(prepare)


def input_of(t, shape, channels_last):
    x = t.randn(*shape)
    if channels_last:
        x = x.to(memory_format=t.channels_last if len(shape) == 4 else t.channels_last_3d)
    return x


def training(name, make, shape, channels_last=False):
    """Forward and the gradients of input, weight and bias; `make(nn)` builds the layer."""

    def prepare(t):
        layer = make(t.nn)
        x = input_of(t, shape, channels_last).requires_grad_()
        g = input_of(t, shape, channels_last)

        def run():
            x.grad = None
            for parameter in layer.parameters():
                parameter.grad = None
            layer(x).backward(g)

        return run

    register(name, "forward and backward", prepare)


def forward(name, make, shape, channels_last=False, mode="forward"):
    """The layer in training mode, recorded for a backward that does not come."""

    def prepare(t):
        if mode == "evaluation":
            t.set_grad_enabled(False)
        layer = make(t.nn).train(mode == "forward")
        x = input_of(t, shape, channels_last)
        # the address is asked for, so that a result that waits for its reader is computed
        return "layer(x).data_ptr()", {"layer": layer, "x": x}

    register(name, mode, prepare)


def evaluation(name, make, shape, channels_last=False):
    forward(name, make, shape, channels_last, "evaluation")


for measure in (training, evaluation):
    measure("BatchNorm2d, 32 x 64 x 28 x 28", lambda nn: nn.BatchNorm2d(64), IMAGES)
    measure("BatchNorm2d, 32 x 64 x 56 x 56", lambda nn: nn.BatchNorm2d(64), (32, 64, 56, 56))
    measure("BatchNorm2d, channels last", lambda nn: nn.BatchNorm2d(64), IMAGES, channels_last=True)
    measure("BatchNorm2d, digits: 32 x 32 x 8 x 8", lambda nn: nn.BatchNorm2d(32), (32, 32, 8, 8))
    measure("BatchNorm1d, 4096 x 256", lambda nn: nn.BatchNorm1d(256), (4096, 256))
    measure("BatchNorm1d, 32 x 64", lambda nn: nn.BatchNorm1d(64), (32, 64))
    measure("LayerNorm, 2048 x 512", lambda nn: nn.LayerNorm(512), (2048, 512))
    measure("GroupNorm(8), 32 x 64 x 28 x 28", lambda nn: nn.GroupNorm(8, 64), IMAGES)
for measure in (training, forward):
    measure("BatchNorm2d, 128 x 16 x 32 x 32", lambda nn: nn.BatchNorm2d(16), (128, 16, 32, 32))
    measure("BatchNorm2d, 8 x 512 x 7 x 7", lambda nn: nn.BatchNorm2d(512), (8, 512, 7, 7))
    measure("BatchNorm1d, 256 x 1024", lambda nn: nn.BatchNorm1d(1024), (256, 1024))
    measure("BatchNorm1d, 16 x 64 x 500", lambda nn: nn.BatchNorm1d(64), (16, 64, 500))
    measure("BatchNorm3d, 4 x 16 x 16 x 16 x 16", lambda nn: nn.BatchNorm3d(16), (4, 16, 16, 16, 16))
    measure("LayerNorm, 32 x 64 x 96", lambda nn: nn.LayerNorm(96), (32, 64, 96))
    measure("LayerNorm, 512 x 768", lambda nn: nn.LayerNorm(768), (512, 768))
    measure("LayerNorm, 8 x 128 x 1024", lambda nn: nn.LayerNorm(1024), (8, 128, 1024))
    measure("LayerNorm, 64 x 32", lambda nn: nn.LayerNorm(32), (64, 32))
    measure("RMSNorm, 2048 x 512", lambda nn: nn.RMSNorm(512), (2048, 512))
    measure("GroupNorm(32), 4 x 256 x 32 x 32", lambda nn: nn.GroupNorm(32, 256), (4, 256, 32, 32))
    measure("GroupNorm(4), 16 x 32 x 6 x 6", lambda nn: nn.GroupNorm(4, 32), (16, 32, 6, 6))
    measure("InstanceNorm2d, 32 x 64 x 28 x 28", lambda nn: nn.InstanceNorm2d(64, affine=True), IMAGES)
    measure("InstanceNorm1d, 8 x 16 x 200", lambda nn: nn.InstanceNorm1d(16), (8, 16, 200))
training("BatchNorm2d and ReLU", lambda nn: nn.Sequential(nn.BatchNorm2d(64), nn.ReLU()), IMAGES)
training("BatchNorm2d, channels last, 8 x 512 x 7 x 7", lambda nn: nn.BatchNorm2d(512), (8, 512, 7, 7), True)
training("BatchNorm3d, channels last, 4 x 16 x 16 x 16 x 16", lambda nn: nn.BatchNorm3d(16), (4, 16, 16, 16, 16), True)
training("BatchNorm1d, 100000 x 10", lambda nn: nn.BatchNorm1d(10), (100000, 10))
