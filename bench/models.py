"""Networks for the benchmarks, written once for every library `t`; `norm=False` puts nothing where batch norm was."""

import itertools


def batch_norm(t, channels, norm, flat=False):
    if not norm:
        return t.nn.Identity()
    return t.nn.BatchNorm1d(channels) if flat else t.nn.BatchNorm2d(channels)


def residual_block(t, channels_in, channels, stride, norm):
    nn = t.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
            self.bn1 = batch_norm(t, channels, norm)
            self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.bn2 = batch_norm(t, channels, norm)
            self.relu = nn.ReLU()
            self.shortcut = nn.Identity()
            if stride != 1 or channels_in != channels:
                self.shortcut = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False),
                                              batch_norm(t, channels, norm))

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    return Block()


def resnet(t, widths, blocks, norm=True):
    """The ResNet of He et al. for images of 32 x 32: a 3 x 3 convolution, groups of residual blocks, a linear layer."""
    nn = t.nn
    layers = [nn.Conv2d(3, widths[0], 3, padding=1, bias=False), batch_norm(t, widths[0], norm), nn.ReLU()]
    channels = widths[0]
    for group, width in enumerate(widths):
        for i in range(blocks):
            layers.append(residual_block(t, channels, width, 2 if group and i == 0 else 1, norm))
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def resnet20(t, norm=True):
    return resnet(t, (16, 32, 64), 3, norm)


def resnet18(t, norm=True):
    return resnet(t, (64, 128, 256, 512), 2, norm)


def mlp(t, sizes, norm=True):
    nn = t.nn
    layers = []
    for inputs, outputs in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(inputs, outputs), batch_norm(t, outputs, norm, flat=True), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def wide_mlp(t, norm=True):
    return mlp(t, (784, 512, 512, 512, 10), norm)


def gpt(t, letters, width, layers, heads, length):
    """A small GPT-2: learnt positions, blocks that normalize first, tied to nothing."""
    nn = t.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x):
            batch, steps, _ = x.shape
            parts = self.qkv(self.norm1(x)).split(width, dim=2)
            q, k, v = [part.view(batch, steps, heads, width // heads).transpose(1, 2) for part in parts]
            y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(batch, steps, width))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.letters, self.positions = nn.Embedding(letters, width), nn.Embedding(length, width)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, letters, bias=False)

        def forward(self, x):
            x = self.letters(x) + self.positions(t.arange(x.shape[1]))
            return self.head(self.norm(self.blocks(x)))

    return GPT()
