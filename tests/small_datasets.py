"""Small files in the form of MNIST's and CIFAR's, with random pixels, for tests that read them."""
import gzip
import pickle
import struct

import numpy as np

GENERATOR = np.random.default_rng(5)
IMAGES = GENERATOR.integers(0, 256, (7, 28, 28), dtype=np.uint8)
LABELS = np.arange(7, dtype=np.uint8)


def idx(array):
    """An idx file of this array."""
    code = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}[array.dtype.name]
    head = bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_mnist(root, name="MNIST", names=("train", "t10k"), compress=False):
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    for part in names:
        for kind, content in (("images-idx3", IMAGES), ("labels-idx1", LABELS)):
            data = idx(content)
            (folder / f"{part}-{kind}-ubyte{'.gz' if compress else ''}").write_bytes(
                gzip.compress(data) if compress else data)
    return folder
PIXELS = GENERATOR.integers(0, 256, (12, 3072), dtype=np.uint8)


def python2_pickle(data, labels, key):
    """A batch as Python 2 pickled it: byte strings, an array through numpy.core.multiarray."""
    def text(s):
        return b"U" + bytes([len(s)]) + s.encode()
    n = struct.pack("<I", data.size)
    array = (b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K"
             + bytes([len(data)]) + b"M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNN"
             + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + n + data.tobytes() + b"tb")
    numbers = b"]q\x09(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}q\x01(" + text("data") + array + text(key) + numbers + b"u."


def write_cifar(root, hundred=False):
    folder = root / ("cifar-100-python" if hundred else "cifar-10-batches-py")
    folder.mkdir(parents=True)
    key = "fine_labels" if hundred else "labels"
    names = ["train"] if hundred else [f"data_batch_{i}" for i in range(1, 6)]
    for i, name in enumerate(names):
        (folder / name).write_bytes(python2_pickle(PIXELS[2 * i:2 * i + 2], [i, i + 1], key))
    (folder / ("test" if hundred else "test_batch")).write_bytes(
        pickle.dumps({"data": PIXELS[10:], key: [3, 4]}, protocol=2))
    meta = {"fine_label_names" if hundred else "label_names": [f"kind {i}" for i in range(100 if hundred else 10)]}
    (folder / ("meta" if hundred else "batches.meta")).write_bytes(pickle.dumps(meta, protocol=2))
    return folder
