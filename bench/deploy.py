"""Batch-1 latency of ResNet-18 in evaluation: as it is, and with every batch norm folded into its convolution."""

from harness import case


def block(nn, inputs, outputs, stride):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1, self.relu = nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.short = None
            if stride > 1:
                self.short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + (x if self.short is None else self.short(x)))

    return Block()


def resnet18(nn):
    """The network of torchvision's models, so that both libraries build the same."""
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    sizes = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
    blocks = [block(nn, *pair) for i, o, s in sizes for pair in ((i, o, s), (o, o, 1))]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000)).eval()


def fused(t, model):
    """With PyTorch's own tool, which must be told what follows what."""
    pairs = [(model, "0", "1")]
    for part in model[4:12]:
        pairs += [(part, "conv1", "bn1"), (part, "conv2", "bn2")] + ([(part.short, "0", "1")] if part.short else [])
    for owner, conv, norm in pairs:
        new = t.nn.utils.fusion.fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm))
        setattr(owner, conv, new)
        setattr(owner, norm, t.nn.Identity())
    return model


def latency(name, size, fold):
    def prepare(t):
        t.set_grad_enabled(False)
        model, x = resnet18(t.nn), t.randn(1, 3, size, size)
        if fold:
            model = t.nn.utils.fold(model, x)[0] if hasattr(t.nn.utils, "fold") else fused(t, model)
        return "model(x)", {"model": model, "x": x}

    prepare.__module__ = __name__
    case(f"ResNet-18, 1 x 3 x {size} x {size}, {name}")(prepare)


for size in 64, 224:
    latency("batch norms", size, False)
    latency("folded", size, True)
