"""Reads handwritten digits row by row, as a sentence of eight words, with an LSTM.

    python examples/rows_lstm.py [--epochs 12] [--lr 0.01] [--seed 0] [--quick]

The network sees one row of eight pixels at a time, from top to bottom, and names the digit after the last row.
"""

import argparse

from sklearn.datasets import load_digits
from tqdm import tqdm

import minitorch_bn as torch
from minitorch_bn import nn
from minitorch_bn.preprocessing import MinMaxScaler
from minitorch_bn.utils.data import DataLoader, TensorDataset


class RowReader(nn.Module):
    def __init__(self, hidden=96):
        super().__init__()
        self.lstm = nn.LSTM(input_size=8, hidden_size=hidden, batch_first=True)
        self.norm = nn.BatchNorm1d(hidden)
        self.head = nn.Linear(hidden, 10)

    def forward(self, rows):  # (batch, 8 rows, 8 pixels)
        outputs, _ = self.lstm(rows)
        return self.head(self.norm(outputs[:, -1]))  # what the LSTM remembers after the last row


def main():
    parser = argparse.ArgumentParser(description="Train an LSTM on handwritten digits, read row by row.")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two epochs, to see that it runs")
    args = parser.parse_args()
    epochs = 2 if args.quick else args.epochs

    digits = load_digits()
    pixels = MinMaxScaler().fit_transform(digits.data.reshape(-1, 1))  # one scale for all pixels: 0..16 becomes 0..1
    order = torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    images = torch.as_tensor(pixels, dtype=torch.float32).reshape(-1, 8, 8)[order]
    labels = torch.as_tensor(digits.target, dtype=torch.int64)[order]

    torch.manual_seed(args.seed)
    loader = DataLoader(TensorDataset(images[:1437], labels[:1437]), batch_size=32, shuffle=True, drop_last=True)
    network = RowReader()
    optimizer = torch.optim.Adam(network.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=args.lr, total_steps=epochs * len(loader))

    with tqdm(total=epochs * len(loader), desc="LSTM") as bar:
        for epoch in range(epochs):
            for rows, targets in loader:
                loss = nn.functional.cross_entropy(network(rows), targets)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)  # one odd batch cannot throw the LSTM off
                optimizer.step()
                schedule.step()
                bar.update()
            network.eval()
            with torch.no_grad():
                accuracy = (network(images[1437:]).argmax(dim=1) == labels[1437:]).float().mean().item()
            network.train()
            bar.set_postfix(epoch=epoch + 1, loss=f"{loss.item():.4f}", accuracy=f"{accuracy:.2%}")
    print(f"{accuracy:.2%} of the 360 test images are right")


if __name__ == "__main__":
    main()
