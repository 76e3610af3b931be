"""Trains a small GPT, letter by letter, on the text of Python's own help pages, then lets it write.

    python examples/char_gpt.py [--steps 1000] [--lr 0.003] [--seed 0] [--length 400] [--quick]

The text is the one behind `help("FORMATTING")` and its like; it comes with every Python.
"""

import argparse
from pydoc_data.topics import topics

from tqdm import tqdm

import minitorch_bn as torch
from minitorch_bn import nn

WINDOW = 64  # letters that the network looks back
WIDTH = 96
HEADS = 4
LAYERS = 3


class Block(nn.Module):
    """One transformer layer: every letter looks at the earlier ones, then thinks for itself."""

    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x, mask):
        h = self.norm1(x)
        h, _ = self.attention(h, h, h, attn_mask=mask, need_weights=False)
        x = x + h
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, letters):
        super().__init__()
        self.letter = nn.Embedding(letters, WIDTH)
        self.place = nn.Embedding(WINDOW, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, letters)

    def forward(self, ids):  # (batch, time) -> (batch, time, letters): a score for each possible next letter
        time = ids.shape[1]
        future = torch.ones(time, time, dtype=torch.bool).triu(1)  # True: not to be looked at
        x = self.letter(ids) + self.place(torch.arange(time))
        for block in self.blocks:
            x = block(x, future)
        return self.head(self.norm(x))


def write(network, ids, length):
    """Continue `ids` by `length` letters, each drawn from the probabilities that the network gives."""
    network.eval()
    with torch.no_grad():
        for _ in range(length):
            scores = network(ids[:, -WINDOW:])[:, -1]
            drawn = torch.multinomial(torch.softmax(scores / 0.8, dim=-1), num_samples=1)
            ids = torch.cat([ids, drawn], dim=1)
    return ids


def main():
    parser = argparse.ArgumentParser(description="Train a character-level GPT on Python's help pages.")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--length", type=int, default=400, help="letters to write at the end")
    parser.add_argument("--quick", action="store_true", help="twenty steps, to see that it runs")
    args = parser.parse_args()
    steps, length = (20, 40) if args.quick else (args.steps, args.length)

    text = "\n".join(topics[name] for name in sorted(topics))
    text = "".join(letter for letter in text if letter == "\n" or " " <= letter <= "~")
    alphabet = sorted(set(text))
    index = {letter: i for i, letter in enumerate(alphabet)}
    data = torch.tensor([index[letter] for letter in text])

    torch.manual_seed(args.seed)
    network = GPT(len(alphabet))
    print(f"{len(text)} letters of {len(alphabet)} kinds; {sum(p.numel() for p in network.parameters())} parameters")
    optimizer = torch.optim.AdamW(network.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=args.lr, total_steps=steps)
    average = None
    with tqdm(range(steps), desc="GPT") as bar:
        for _ in bar:
            starts = torch.randint(len(text) - WINDOW, (24, 1))
            batch = data[starts + torch.arange(WINDOW + 1)]
            inputs, targets = batch[:, :-1], batch[:, 1:]  # the task: name the next letter, at every place
            scores = network(inputs)
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), targets.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            value = loss.item()
            average = value if average is None else 0.95 * average + 0.05 * value
            bar.set_postfix(loss=f"{average:.3f}")
    print(f"average loss at the end: {average:.3f} nats a letter\n")
    prompt = "The "
    ids = write(network, torch.tensor([[index[letter] for letter in prompt]]), length)
    print("".join(alphabet[i] for i in ids[0].tolist()))


if __name__ == "__main__":
    main()
