"""Trains each policy of batch normalization beside its plain version on handwritten digits, and prints one table.

    python examples/policies.py [--seeds 3] [--quick]

Same data, seeds, steps and learning rate in each pair: the policy is the only difference. The numbers are accuracies on
360 images after training, mean and range over the seeds, and milliseconds for a step of training.
"""

import argparse
import time

from sklearn.datasets import load_digits

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.utils.data import DataLoader, TensorDataset


def load_data():
    digits = load_digits()
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    images = torch.as_tensor(digits.data / 16, dtype=torch.float32)[order]
    labels = torch.as_tensor(digits.target, dtype=torch.int64)[order]
    return TensorDataset(images[:1437], labels[:1437]), (images[1437:], labels[1437:])


def perceptron(norm):
    """Three hidden layers, each followed by a normalization."""
    layers = []
    for inputs, outputs in (64, 64), (64, 64), (64, 64):
        layers += [nn.Linear(inputs, outputs, bias=False), norm(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))


def convolutional(norm):
    """Three convolutions, each followed by a normalization."""
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3, padding=1, bias=False), norm(16), nn.ReLU(),
                         nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False), norm(32), nn.ReLU(),
                         nn.Conv2d(32, 32, 3, stride=2, padding=1, bias=False), norm(32), nn.ReLU(),
                         nn.Flatten(), nn.Linear(128, 10))


class PixelReader(nn.Module):
    """Reads the image four pixels at a time, 16 steps, and names the digit after the last one."""

    def __init__(self, lstm):
        super().__init__()
        self.lstm, self.head = lstm, nn.Linear(48, 10)

    def forward(self, pixels):
        return self.head(self.lstm(pixels.reshape(-1, 16, 4))[0][:, -1])


def of_two_kinds(labels, batch):
    """Batches of images of two digits each: their statistics are not those of the data."""
    halves = []
    for digit in range(10):
        places = (labels == digit).nonzero().squeeze(1)
        halves += [half for half in places[torch.randperm(len(places))].split(batch // 2) if len(half) == batch // 2]
    order = torch.randperm(len(halves)).tolist()
    return [[*halves[i].tolist(), *halves[j].tolist()] for i, j in zip(order[::2], order[1::2])]


def train(make, batch, epochs, lr, seed, mixed):
    """(test accuracy, milliseconds a step)"""
    torch.manual_seed(seed)
    data, (images, labels) = load_data()
    loader = DataLoader(data, batch_size=batch, shuffle=True, drop_last=batch < 64)  # no batch of one
    if not mixed:
        loader = DataLoader(data, batch_sampler=of_two_kinds(data.tensors[1], batch))
    network = make(epochs * len(loader))
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    steps, start = 0, time.perf_counter()
    for _ in range(epochs):
        for x, y in loader:
            loss = nn.functional.cross_entropy(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            steps += 1
    elapsed = time.perf_counter() - start
    network.eval()
    with torch.no_grad():
        hits = (network(images).argmax(1) == labels).float().mean().item()
    return hits, elapsed / steps * 1e3


# name: (plain, policy, batch, epochs, learning rate); each maker gets the number of steps
PAIRS = {
    "LSTM, 16 steps | BNLSTM": (
        lambda steps: PixelReader(nn.LSTM(4, 48, batch_first=True)),
        lambda steps: PixelReader(nn.BNLSTM(4, 48, max_length=16, batch_first=True)), 64, 8, 0.01),
    "batch 500 | ghosts of 48": (
        lambda steps: perceptron(nn.BatchNorm1d),
        lambda steps: perceptron(lambda c: nn.BatchNorm1d(c, ghost=48)), 500, 30, 0.01),
    "batch 4 | renorm": (
        lambda steps: perceptron(lambda c: nn.BatchNorm1d(c, momentum=0.01)),
        lambda steps: perceptron(lambda c: nn.BatchNorm1d(c, momentum=0.01, renorm=nn.Renorm.over(steps))), 4, 8,
        0.003),
    "batch 4, two kinds each | renorm": (
        lambda steps: perceptron(lambda c: nn.BatchNorm1d(c, momentum=0.01)),
        lambda steps: perceptron(lambda c: nn.BatchNorm1d(c, momentum=0.01, renorm=nn.Renorm.over(steps))), 4, 8,
        0.003),
    "batch 4 | filter response norm": (
        lambda steps: convolutional(nn.BatchNorm2d), lambda steps: convolutional(nn.FilterResponseNorm), 4, 2, 0.003),
    "batch 64 | 3 virtual workers": (
        lambda steps: perceptron(nn.BatchNorm1d),
        lambda steps: perceptron(lambda c: nn.BatchNorm1d(c, virtual_workers=3)), 64, 6, 0.01),
    "batch 64 | whitening": (
        lambda steps: perceptron(nn.BatchNorm1d), lambda steps: perceptron(lambda c: nn.IterNorm(c, groups=4)), 64, 6,
        0.01),
}


def main():
    parser = argparse.ArgumentParser(description="Policies of batch normalization beside their plain versions.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one seed and one epoch, to see that it runs")
    args = parser.parse_args()

    def cell(runs):
        hits = [100 * hit for hit, _ in runs]
        mean, step = sum(hits) / len(hits), sum(ms for _, ms in runs) / len(runs)
        return f"{mean:6.2f} % ({min(hits):5.2f}-{max(hits):5.2f}) {step:6.1f} ms"

    print(f"{'plain | policy':<32} {'plain':<36} {'policy':<36}")
    for name, (plain, policy, batch, epochs, lr) in PAIRS.items():
        seeds, epochs = (1, 1) if args.quick else (args.seeds, epochs)
        results = [[train(make, batch, epochs, lr, seed, "two kinds" not in name) for seed in range(seeds)]
                   for make in (plain, policy)]
        print(f"{name:<32} {cell(results[0]):<36} {cell(results[1]):<36}", flush=True)


if __name__ == "__main__":
    main()
