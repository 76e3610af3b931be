"""MNIST and its kin: images and labels in idx files, plain or compressed with gzip."""

from __future__ import annotations

import gzip
import math
import os
import string
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import minitorch_bn as torch

from .._pillow import image_of
from .utils import download_file, first_existing, missing
from .vision import Transform, VisionDataset

# third byte of an idx file -> dtype
_IDX_DTYPES = {8: torch.uint8, 9: torch.int8, 11: torch.int16, 12: torch.int32, 13: torch.float32, 14: torch.float64}


def read_idx(path: str | Path) -> torch.Tensor:
    """The tensor in an idx file (LeCun, the MNIST database: FILE FORMATS), decompressed if it is gzip's.

    ValueError: not such a file, or cut short.
    """
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{path}: not a whole gzip file: {error}") from None
    dims = data[3] if len(data) >= 4 else 0
    start = 4 * (dims + 1)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_DTYPES or not 1 <= dims <= 8 or len(data) < start:
        raise ValueError(f"{path}: not an idx file")
    shape = [int.from_bytes(data[4 * i:4 * i + 4], "big") for i in range(1, dims + 1)]
    dtype = _IDX_DTYPES[data[2]]
    itemsize = torch.empty(0, dtype=dtype).element_size()
    end = start + math.prod(shape) * itemsize
    if len(data) < end:
        raise ValueError(f"{path}: {len(data)} bytes, but an array of shape {tuple(shape)} ends at byte {end}")
    content = bytearray(data[start:end])
    if itemsize > 1 and sys.byteorder == "little":  # the file is big-endian
        swapped = bytearray(len(content))
        for i in range(itemsize):
            swapped[i::itemsize] = content[itemsize - 1 - i::itemsize]
        content = swapped
    return torch.frombuffer(content, dtype=dtype).reshape(shape) if content else torch.empty(shape, dtype=dtype)


def read_image_file(path: str) -> torch.Tensor:
    """Images (N, H, W), uint8, of an idx file."""
    images = read_idx(path)
    if images.dtype != torch.uint8:
        raise TypeError(f"x should be of dtype torch.uint8 instead of {images.dtype}")
    if images.dim() != 3:
        raise ValueError(f"x should have 3 dimension instead of {images.dim()}")
    return images


def read_label_file(path: str) -> torch.Tensor:
    """Labels (N,), int64, of an idx file."""
    labels = read_idx(path)
    if labels.dtype != torch.uint8:
        raise TypeError(f"x should be of dtype torch.uint8 instead of {labels.dtype}")
    if labels.dim() != 1:
        raise ValueError(f"x should have 1 dimension instead of {labels.dim()}")
    return labels.long()


class MNIST(VisionDataset):
    """Handwritten digits 28 x 28: `root`/MNIST/raw/train-images-idx3-ubyte and the three others, plain or .gz.

    Items are (image, label), the image one of Pillow's (a uint8 array where Pillow is not installed). `data` is uint8
    (N, 28, 28), `targets` int64 (N,). `download=True` fetches absent files. RuntimeError: files missing.
    """

    mirrors = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"]
    resources = [("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                 ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
                 ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
                 ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c")]
    classes = ["0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six", "7 - seven",
               "8 - eight", "9 - nine"]

    def __init__(self, root: str | Path, train: bool = True, transform: Transform | None = None,
                 target_transform: Transform | None = None, download: bool = False) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        names = self._file_names()
        paths = [self._find(name) for name in names]
        if None in paths:
            raise missing(type(self).__name__, self.raw_folder, [f"{name}[.gz]" for name in names])
        images, labels = paths
        self.data: torch.Tensor = read_image_file(images)  # type: ignore[arg-type]
        self.targets: torch.Tensor = read_label_file(labels)  # type: ignore[arg-type]
        if len(self.data) != len(self.targets):
            raise ValueError(f"{images} has {len(self.data)} images, but {labels} has {len(self.targets)} labels")

    def _file_names(self) -> list[str]:
        part = "train" if self.train else "t10k"
        return [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]

    def _find(self, name: str) -> str | None:
        path = os.path.join(self.raw_folder, name)
        return first_existing(path, path + ".gz")

    @property
    def raw_folder(self) -> str:
        """Where the files are looked for."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class by its name."""
        return {name: i for i, name in enumerate(self.classes)}

    def download(self) -> None:
        """Fetch the files that are absent."""
        for name, md5 in self.resources:
            if self._find(name.removesuffix(".gz")) is None:
                download_file([mirror + name for mirror in self.mirrors], os.path.join(self.raw_folder, name), md5)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._transformed(image_of(self.data[index].numpy()), int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"

    def _renamed(self, old: str, new: str) -> torch.Tensor:
        warnings.warn(f"{old} has been renamed {new}", stacklevel=3)
        return getattr(self, new)

    @property
    def train_labels(self) -> torch.Tensor:
        """The old name of `targets`."""
        return self._renamed("train_labels", "targets")

    @property
    def test_labels(self) -> torch.Tensor:
        """The old name of `targets`."""
        return self._renamed("test_labels", "targets")

    @property
    def train_data(self) -> torch.Tensor:
        """The old name of `data`."""
        return self._renamed("train_data", "data")

    @property
    def test_data(self) -> torch.Tensor:
        """The old name of `data`."""
        return self._renamed("test_data", "data")


class FashionMNIST(MNIST):
    """Pictures of clothes, in MNIST's form, in `root`/FashionMNIST/raw."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                 ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
                 ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
                 ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310")]
    classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


class KMNIST(MNIST):
    """Handwritten Japanese characters, in MNIST's form, in `root`/KMNIST/raw."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
                 ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
                 ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
                 ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134")]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


_ALIKE = set("cijklmopsuvwxyz")  # letters whose two cases are one class in the merged splits
_LETTERS = set(string.digits + string.ascii_letters)


class EMNIST(MNIST):
    """Handwritten letters and digits: `root`/EMNIST/raw/emnist-`split`-train-images-idx3-ubyte and so on."""

    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict = {"byclass": sorted(_LETTERS), "bymerge": sorted(_LETTERS - _ALIKE),
                          "balanced": sorted(_LETTERS - _ALIKE), "letters": ["N/A", *string.ascii_lowercase],
                          "digits": list(string.digits), "mnist": list(string.digits)}

    def __init__(self, root: str | Path, split: str, **kwargs: Any) -> None:
        if split not in self.splits:
            raise ValueError(f"Unknown value '{split}' for argument split. Valid values are {set(self.splits)}.")
        self.split = split
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[split]

    def _file_names(self) -> list[str]:
        part = "train" if self.train else "test"
        return [f"emnist-{self.split}-{part}-{kind}" for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]

    def download(self) -> None:
        """Nothing if the files are there; they come in one archive for all splits, which is not fetched."""
        if None in map(self._find, self._file_names()):
            raise missing("EMNIST", self.raw_folder, [f"{name}[.gz]" for name in self._file_names()], download=False)
