"""CIFAR-10 and CIFAR-100, from the version for Python (pickles, which are parsed and never unpickled) or the binary."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

from minitorch_bn.serialization.reading import Unpickler

from .._pillow import image_of
from .utils import download_file, missing
from .vision import Transform, VisionDataset

_PIXELS = 3 * 32 * 32


def read_pickle(path: str) -> Any:
    """The dicts, lists, text and arrays in a pickle, by the closed interpreter. ValueError: it holds anything else."""
    try:
        return Unpickler(Path(path).read_bytes(), plain=True, encoding="latin1").load()  # Python 2 wrote the files
    except UnpicklingError as error:
        raise ValueError(f"{path}: {error}") from None


class CIFAR10(VisionDataset):
    """Photographs 32 x 32 of ten kinds: `root`/cifar-10-batches-py, or `root`/cifar-10-batches-bin.

    Items are (image, label), the image one of Pillow's (a uint8 array where Pillow is not installed). `data` is a uint8
    array (N, 32, 32, 3), `targets` a list of int. `download=True` fetches absent files. RuntimeError: files missing.
    ValueError: a file holds anything but such data.
    """

    base_folder = "cifar-10-batches-py"
    binary_folder = "cifar-10-batches-bin"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_files = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"]
    test_files = ["test_batch"]
    meta = {"filename": "batches.meta", "key": "label_names"}
    binary_meta = "batches.meta.txt"
    labels_per_record = 1  # in the binary version; the last of them counts

    def __init__(self, root: str | Path, train: bool = True, transform: Transform | None = None,
                 target_transform: Transform | None = None, download: bool = False) -> None:
        import numpy

        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        folder = self._folder()
        if folder is None and download:
            self.download()
            folder = self._folder()
        if folder is None:
            raise missing(type(self).__name__, os.path.join(self.root, self.base_folder),
                          [*self._needed(), self.meta["filename"]])
        binary = folder.endswith(self.binary_folder)
        parts = [(self._read_binary if binary else self._read_pickled)(os.path.join(folder, name))
                 for name in self._needed()]
        self.data: Any = numpy.concatenate([images for images, _ in parts]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self.targets: list[int] = [label for _, labels in parts for label in labels]
        if binary:
            self.classes = Path(folder, self.binary_meta).read_text(encoding="ascii").split()
        else:
            path = os.path.join(folder, self.meta["filename"])
            meta = read_pickle(path)
            if not isinstance(meta, dict) or not isinstance(meta.get(self.meta["key"]), list):
                raise ValueError(f"{path}: needs a list {self.meta['key']!r}")
            self.classes = meta[self.meta["key"]]
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}

    def _needed(self) -> list[str]:
        return self.train_files if self.train else self.test_files

    def _folder(self) -> str | None:
        """The folder that has all files of this part: the version for Python first."""
        for folder, ending, meta in ((self.base_folder, "", self.meta["filename"]),
                                     (self.binary_folder, ".bin", self.binary_meta)):
            path = os.path.join(self.root, folder)
            if all(os.path.isfile(os.path.join(path, name))
                   for name in [*(name + ending for name in self._needed()), meta]):
                return path
        return None

    @staticmethod
    def _read_pickled(path: str) -> tuple[Any, list[int]]:
        entry = read_pickle(path)
        images = entry.get("data") if isinstance(entry, dict) else None
        labels = entry.get("labels", entry.get("fine_labels")) if isinstance(entry, dict) else None
        if getattr(images, "dtype", None) != "uint8" or images.shape != (len(labels or ()), _PIXELS):  # type: ignore
            raise ValueError(f"{path}: needs 'data', bytes of shape (N, {_PIXELS}), and N 'labels' or 'fine_labels'")
        return images, [int(label) for label in labels]  # type: ignore[union-attr]

    def _read_binary(self, path: str) -> tuple[Any, list[int]]:
        import numpy

        record, content = self.labels_per_record + _PIXELS, Path(path + ".bin").read_bytes()
        if len(content) % record:
            raise ValueError(f"{path}.bin: {len(content)} bytes are no whole number of records of {record} bytes")
        records = numpy.frombuffer(content, numpy.uint8).reshape(-1, record)
        return records[:, self.labels_per_record:], records[:, self.labels_per_record - 1].tolist()

    def download(self) -> None:
        """Fetch the version for Python and take its files out of the archive."""
        archive = os.path.join(self.root, self.filename)
        if not os.path.isfile(archive):
            download_file([self.url], archive, self.tgz_md5)
        folder = os.path.join(self.root, self.base_folder)
        os.makedirs(folder, exist_ok=True)
        with tarfile.open(archive) as files:
            for name in [*self.train_files, *self.test_files, self.meta["filename"]]:
                member = files.extractfile(f"{self.base_folder}/{name}")
                if member is None:
                    raise RuntimeError(f"{archive} has no file {self.base_folder}/{name}")
                Path(folder, name).write_bytes(member.read())

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._transformed(image_of(self.data[index]), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """The same with a hundred classes: `root`/cifar-100-python, or `root`/cifar-100-binary; the fine labels."""

    base_folder = "cifar-100-python"
    binary_folder = "cifar-100-binary"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_files = ["train"]
    test_files = ["test"]
    meta = {"filename": "meta", "key": "fine_label_names"}
    binary_meta = "fine_label_names.txt"
    labels_per_record = 2
