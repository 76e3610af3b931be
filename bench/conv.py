"""Convolutions, forward alone and with all gradients: strides, groups, dilation, transposes, 1d and 3d."""

from harness import case


def convolution(name, kind, shape, channels_out, kernel, **options):
    """Two cases: the forward without grad, and forward plus the gradients of input, weight and bias."""
    options = {"padding": kernel // 2, **options}

    def forward(t):
        t.set_grad_enabled(False)
        layer = getattr(t.nn, kind)(shape[1], channels_out, kernel, **options)
        return "layer(x)", {"layer": layer, "x": t.randn(*shape)}

    def backward(t):
        layer = getattr(t.nn, kind)(shape[1], channels_out, kernel, **options)
        x = t.randn(*shape, requires_grad=True)
        g = t.ones(layer(x).shape)

        def run():
            x.grad = layer.weight.grad = layer.bias.grad = None
            layer(x).backward(g)

        return run

    for prepare, part in ((forward, "forward"), (backward, "forward and backward")):
        prepare.__module__ = __name__
        case(f"{name}, {part}")(prepare)


convolution("digits: 32 x 1 x 8 x 8 to 32, 3 x 3", "Conv2d", (32, 1, 8, 8), 32, 3)
convolution("digits: 32 x 32 x 8 x 8 to 64, 3 x 3", "Conv2d", (32, 32, 8, 8), 64, 3)
convolution("16 x 64 x 32 x 32 to 64, 3 x 3", "Conv2d", (16, 64, 32, 32), 64, 3)
convolution("16 x 64 x 32 x 32 to 128, 3 x 3, stride 2", "Conv2d", (16, 64, 32, 32), 128, 3, stride=2)
convolution("8 x 256 x 14 x 14 to 256, 3 x 3", "Conv2d", (8, 256, 14, 14), 256, 3)
convolution("16 x 64 x 32 x 32 to 128, 1 x 1", "Conv2d", (16, 64, 32, 32), 128, 1)
convolution("4 x 3 x 112 x 112 to 32, 7 x 7, stride 2", "Conv2d", (4, 3, 112, 112), 32, 7, stride=2)
convolution("depthwise: 16 x 64 x 32 x 32, 3 x 3", "Conv2d", (16, 64, 32, 32), 64, 3, groups=64)
convolution("groups of 16: 16 x 64 x 32 x 32, 3 x 3", "Conv2d", (16, 64, 32, 32), 64, 3, groups=4)
convolution("dilated: 16 x 32 x 32 x 32 to 32, 3 x 3", "Conv2d", (16, 32, 32, 32), 32, 3, dilation=2, padding=2)
convolution(
    "transpose: 16 x 64 x 16 x 16 to 32, 4 x 4", "ConvTranspose2d", (16, 64, 16, 16), 32, 4, stride=2, padding=1
)
convolution("Conv1d: 32 x 64 x 256 to 64, 5", "Conv1d", (32, 64, 256), 64, 5)
convolution("Conv3d: 4 x 16 x 16 x 16 x 16 to 16, 3", "Conv3d", (4, 16, 16, 16, 16), 16, 3)

# Other shapes: layers of ResNets, MobileNets, AlexNet; an image alone, small images, large ones
convolution("ResNet-20: 32 x 16 x 32 x 32 to 16, 3 x 3", "Conv2d", (32, 16, 32, 32), 16, 3)
convolution("ResNet-20: 32 x 16 x 32 x 32 to 32, 3 x 3, stride 2", "Conv2d", (32, 16, 32, 32), 32, 3, stride=2)
convolution("ResNet-20: 32 x 64 x 8 x 8 to 64, 3 x 3", "Conv2d", (32, 64, 8, 8), 64, 3)
convolution("ResNet-18: 16 x 128 x 16 x 16 to 128, 3 x 3", "Conv2d", (16, 128, 16, 16), 128, 3)
convolution("ResNet-18: 16 x 256 x 8 x 8 to 512, 3 x 3, stride 2", "Conv2d", (16, 256, 8, 8), 512, 3, stride=2)
convolution("ResNet-18: 16 x 512 x 4 x 4 to 512, 3 x 3", "Conv2d", (16, 512, 4, 4), 512, 3)
convolution("1 x 64 x 56 x 56 to 64, 3 x 3", "Conv2d", (1, 64, 56, 56), 64, 3)
convolution("1 x 256 x 14 x 14 to 256, 3 x 3", "Conv2d", (1, 256, 14, 14), 256, 3)
convolution("64 x 128 x 7 x 7 to 128, 3 x 3", "Conv2d", (64, 128, 7, 7), 128, 3)
convolution("16 x 32 x 28 x 28 to 64, 5 x 5", "Conv2d", (16, 32, 28, 28), 64, 5)
convolution("8 x 256 x 14 x 14 to 1024, 1 x 1", "Conv2d", (8, 256, 14, 14), 1024, 1)
convolution("16 x 64 x 32 x 32 to 128, 1 x 1, stride 2", "Conv2d", (16, 64, 32, 32), 128, 1, stride=2)
convolution("depthwise: 8 x 96 x 56 x 56, 3 x 3, stride 2", "Conv2d", (8, 96, 56, 56), 96, 3, stride=2, groups=96)
convolution("depthwise: 16 x 384 x 14 x 14, 3 x 3", "Conv2d", (16, 384, 14, 14), 384, 3, groups=384)
convolution("Conv1d: 32 x 64 x 256 to 64, 3", "Conv1d", (32, 64, 256), 64, 3)
