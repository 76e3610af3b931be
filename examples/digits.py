"""Trains one small convolutional network twice on real handwritten digits: without and with batch normalization.

    python examples/digits.py [--epochs 15] [--lr 0.2] [--seed 0] [--out digits.png]

Both networks get the same data, seed, learning rate and number of steps; the normalization is the only difference.
The learning rate is a high one: it shows what normalization is good for. With --lr 0.05 the plain network learns too.
"""

import argparse

import matplotlib

matplotlib.use("Agg")  # draw into a file, no window needed
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from tqdm import tqdm

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.preprocessing import MinMaxScaler
from minitorch_bn.utils.data import DataLoader, TensorDataset


def load_data():
    """1797 images of 8x8 pixels, always shuffled the same way: 1437 to learn from, 360 to test on."""
    digits = load_digits()
    pixels = MinMaxScaler().fit_transform(digits.data.reshape(-1, 1))  # one scale for all pixels: 0..16 becomes 0..1
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    images = torch.as_tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8)[order]
    labels = torch.as_tensor(digits.target, dtype=torch.int64)[order]
    return TensorDataset(images[:1437], labels[:1437]), (images[1437:], labels[1437:])


def make_network(batch_norm):
    """Three convolutions, then one linear layer; with `batch_norm`, each convolution is followed by a normalization."""
    layers = []
    for channels_in, channels_out, shrink in [(1, 32, False), (32, 64, True), (64, 64, True)]:
        layers.append(nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(channels_out))
        layers.append(nn.ReLU())
        if shrink:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 2 * 2, 10))


def accuracy(network, images, labels):
    network.eval()  # batch normalization now uses the averages it has collected
    with torch.no_grad():
        hits = network(images).argmax(dim=1) == labels
    network.train()
    return hits.float().mean().item()


def train(name, batch_norm, args):
    torch.manual_seed(args.seed)
    train_set, (test_images, test_labels) = load_data()
    loader = DataLoader(train_set, batch_size=32, shuffle=True)
    network = make_network(batch_norm)
    optimizer = torch.optim.SGD(network.parameters(), lr=args.lr, momentum=0.9, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(loader))
    loss_fn = nn.CrossEntropyLoss()
    losses, accuracies = [], []
    with tqdm(total=args.epochs * len(loader), desc=name) as bar:
        for epoch in range(args.epochs):
            total = 0.0
            for images, labels in loader:
                loss = loss_fn(network(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item() * len(labels)  # the loss is a mean over the batch
                bar.update()
            losses.append(total / len(train_set))
            accuracies.append(accuracy(network, test_images, test_labels))
            bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.4f}", accuracy=f"{accuracies[-1]:.2%}")
    return losses, accuracies


def main():
    parser = argparse.ArgumentParser(description="Train on handwritten digits without and with batch normalization.")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--lr", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="digits.png", help="where to save the picture")
    args = parser.parse_args()

    results = {"plain": train("plain", False, args), "batch norm": train("batch norm", True, args)}

    print("\nepoch   plain: loss  test acc   batch norm: loss  test acc")
    for epoch, row in enumerate(zip(*results["plain"], *results["batch norm"]), start=1):
        print("{:5d} {:13.4f} {:9.2%} {:18.4f} {:9.2%}".format(epoch, *row))

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for name, (losses, accuracies) in results.items():
        left.plot(range(1, args.epochs + 1), losses, marker="o", label=name)
        right.plot(range(1, args.epochs + 1), accuracies, marker="o", label=name)
    left.set(title="training loss", xlabel="epoch", yscale="log")
    right.set(title="test accuracy", xlabel="epoch")
    right.legend()
    figure.savefig(args.out, dpi=120, bbox_inches="tight")
    print(f"\nwith batch norm: {results['batch norm'][1][-1]:.2%} of the test images are right; curves in {args.out}")


if __name__ == "__main__":
    main()
