"""Normalization layers, in training (forward and backward) and in evaluation."""

from harness import case

IMAGES = (32, 64, 28, 28)


def training(name, make, shape, channels_last=False):
    """Forward and the gradients of input, weight and bias; `make(nn)` builds the layer."""

    def prepare(t):
        layer = make(t.nn)
        x = t.randn(*shape)
        if channels_last:
            x = x.to(memory_format=t.channels_last)
        x.requires_grad_()
        g = t.ones_like(layer(x))

        def run():
            x.grad = None
            for parameter in layer.parameters():
                parameter.grad = None
            layer(x).backward(g)

        return run

    prepare.__module__ = __name__
    case(f"{name}, forward and backward")(prepare)


def evaluation(name, make, shape, channels_last=False):
    def prepare(t):
        t.set_grad_enabled(False)
        layer = make(t.nn).eval()
        x = t.randn(*shape)
        if channels_last:
            x = x.to(memory_format=t.channels_last)
        return "layer(x)", {"layer": layer, "x": x}

    prepare.__module__ = __name__
    case(f"{name}, evaluation")(prepare)


for measure in (training, evaluation):
    measure("BatchNorm2d, 32 x 64 x 28 x 28", lambda nn: nn.BatchNorm2d(64), IMAGES)
    measure("BatchNorm2d, channels last", lambda nn: nn.BatchNorm2d(64), IMAGES, channels_last=True)
    measure("BatchNorm2d, digits: 32 x 32 x 8 x 8", lambda nn: nn.BatchNorm2d(32), (32, 32, 8, 8))
    measure("BatchNorm1d, 4096 x 256", lambda nn: nn.BatchNorm1d(256), (4096, 256))
    measure("BatchNorm1d, 32 x 64", lambda nn: nn.BatchNorm1d(64), (32, 64))
training("BatchNorm3d, 4 x 16 x 16 x 16 x 16", lambda nn: nn.BatchNorm3d(16), (4, 16, 16, 16, 16))
training("BatchNorm2d and ReLU", lambda nn: nn.Sequential(nn.BatchNorm2d(64), nn.ReLU()), IMAGES)
training("LayerNorm, 2048 x 512", lambda nn: nn.LayerNorm(512), (2048, 512))
training("LayerNorm, 32 x 64 x 96", lambda nn: nn.LayerNorm(96), (32, 64, 96))
training("RMSNorm, 2048 x 512", lambda nn: nn.RMSNorm(512), (2048, 512))
training("GroupNorm(8), 32 x 64 x 28 x 28", lambda nn: nn.GroupNorm(8, 64), IMAGES)
training("InstanceNorm2d, 32 x 64 x 28 x 28", lambda nn: nn.InstanceNorm2d(64, affine=True), IMAGES)
