"""Damaged files: thousands of mutations of good ones, each of which must load or give a clear error, and nothing else.

    python -m tests.fuzz_files 10000      # so many files, under a limit of memory; exits with 1 at the first surprise
"""

import collections
import io
import pickle
import random
import signal
import struct
import sys
import zipfile

import minitorch_bn as torch
from minitorch_bn.serialization.building import BUILDERS

EXPECTED = (pickle.UnpicklingError, RuntimeError, EOFError)
MEMORY = 768 << 20  # bytes that a load may not pass, the interpreter included
SECONDS = 5


def sample():
    """A checkpoint with all that files hold."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    matrix = torch.arange(6.0).view(2, 3)
    return {"model": model.state_dict(), "parameter": model[0].weight, "transposed": matrix.t(), "row": matrix[1],
            "half": matrix.half(), "empty": torch.empty(0, 3), "mask": matrix > 2, "dtype": torch.float64,
            "numbers": [1, -5, 300, 1 << 70, 1e-3, None, True, 2 + 1j], "bytes": b"a\xff", "set": {1, 2},
            "pair": (1, (2,)), "size": matrix.shape, "device": torch.device("cpu"),
            "counter": collections.Counter("aab"), "long": list(range(300))}


def zipped(files):
    """A zip archive of these files; its checksums are right, so that the mutation itself is what load meets."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def archive_of(pickle_bytes, storages=(), **more):
    """A .pt file with this pickle and these storages."""
    files = {"data.pkl": pickle_bytes, "version": b"3\n", **more}
    files |= {f"data/{i}": data for i, data in enumerate(storages)}
    return io.BytesIO(zipped({f"a/{name}": data for name, data in files.items()}))


def legacy(value, storages):
    """A file of the format before PyTorch 1.6."""
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    parts += [value, pickle.dumps([key for key, _, _ in storages], 2)]
    return b"".join(parts) + b"".join(struct.pack("<q", count) + data for _, count, data in storages)


def old_pickle(archive):
    """The pickle of an archive, with references to storages as the older format has them: None as a sixth part."""
    return archive["data.pkl"].replace(b"tQ", b"NtQ")


def seeds():
    """Files that load."""
    out = io.BytesIO()
    torch.save(sample(), out)
    with zipfile.ZipFile(io.BytesIO(out.getvalue())) as archive:
        files = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    tensors = dict(sample()["model"])
    tensors["matrix"] = torch.arange(6.0, dtype=torch.float64).view(2, 3)
    small = old_pickle({"data.pkl": pickled({"x": torch.arange(4.0), "n": [1, 2]})})
    return {"zip": out.getvalue(), "files": files, "safetensors": torch.safetensors.save(tensors, {"by": "test"}),
            "legacy": legacy(small, [("0", 4, bytes(16))])}


def pickled(value):
    """The pickle inside the file of `value`."""
    out = io.BytesIO()
    torch.save(value, out)
    with zipfile.ZipFile(out) as archive:
        return archive.read("archive/data.pkl")


def damaged(data, choose):
    """`data` with one to three bytes, lengths or pieces changed."""
    data = bytearray(data)
    for _ in range(choose.choice((1, 1, 1, 2, 3))):
        if not data:
            break
        at = choose.randrange(len(data))
        kind = choose.randrange(8)
        if kind == 0:
            data[at] ^= 1 << choose.randrange(8)
        elif kind == 1:
            data[at] = choose.choice(b"(.0125BCGJKMNQRTUXabcdehjlqrstu]}"
                                    b"\x80\x81\x85\x86\x87\x88\x89\x8a\x8b\x90\x93\x94)")
        elif kind == 2:
            data[at] = choose.choice((0, 1, 127, 128, 255))
        elif kind == 3:
            del data[at:]
        elif kind == 4:
            del data[at:at + choose.randrange(1, 20)]
        elif kind == 5:
            source = choose.randrange(len(data))
            data[at:at] = data[source:source + choose.randrange(1, 40)]
        elif kind == 6:
            data[at:at + 4] = struct.pack("<I", choose.choice((0, 1, 1 << 16, 1 << 31, (1 << 32) - 1)))
        else:
            data[at:at + 8] = struct.pack("<q", choose.choice((-1, 0, 1, 1 << 33, 1 << 62)))
    return bytes(data)


NAMES = [name.rpartition(".") for name in (*BUILDERS, "torch.FloatStorage", "torch.storage.UntypedStorage",
                                           "torch.float32", "argparse.Namespace", "pathlib.Path", "os.system",
                                           "torch.uint16")]
CONSTANTS = [b"N", b"\x88", b"K\x00", b"K\x01", b"K\x03", b"J\xff\xff\xff\xff", b"\x8a\x09" + b"\xff" * 8 + b"\x00",
             b"G" + b"\x7f" * 8, b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00latin1", b"X\x02\x00\x00\x00f4",
             b"X\x01\x00\x00\x000", b"C\x04\x00\x01\x02\x03", b")", b"]", b"}", b"\x8f", b"h\x00"]
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ"


def value(choose, depth):
    """The program of a value: a constant, a container, a storage, a name, a call of a name, or its state set."""
    kind = choose.randrange(9) if depth else 0
    parts = [value(choose, depth - 1) for _ in range(choose.randrange(4))] if kind > 2 else []
    module, _, name = choose.choice(NAMES)
    if kind < 2:
        return choose.choice(CONSTANTS)
    if kind == 2:
        return STORAGE
    if kind == 3:
        return b"(" + b"".join(parts) + choose.choice((b"t", b"l", b"\x91"))
    if kind == 4:
        return b"](" + b"".join(parts) + b"e"
    if kind == 5:
        return b"}(" + b"".join(choose.choice(CONSTANTS) + part for part in parts) + b"u"
    call = f"c{module}\n{name}\n".encode() + b"(" + b"".join(parts) + b"t" + choose.choice((b"R", b"R", b"\x81"))
    return call + (value(choose, depth - 1) + b"b" if kind == 8 else b"")


def program(choose):
    """A random program for the stack machine, well formed, but of values that need not fit what is done to them."""
    return b"\x80\x02Nq\x000" + value(choose, choose.randrange(1, 4)) + b"."


def mutations(count, seed=0):
    """`count` damaged files: of the archive as a whole, of its pickle, of an old file, of a safetensors file."""
    good, choose = seeds(), random.Random(seed)
    for _ in range(count):
        kind = choose.choice(("zip", "pickle", "pickle", "program", "program", "legacy", "safetensors", "header"))
        if kind == "pickle":
            files = dict(good["files"])
            files["data.pkl"] = damaged(files["data.pkl"], choose)
            yield kind, zipped({f"a/{name}": data for name, data in files.items()})
        elif kind == "program":
            files = {"data.pkl": program(choose), "data/0": bytes(range(24)), "version": b"3\n"}
            yield kind, zipped({f"a/{name}": data for name, data in files.items()})
        elif kind == "header":
            whole = good["safetensors"]
            length = struct.unpack_from("<Q", whole)[0]
            header = damaged(whole[8:8 + length], choose)
            yield kind, struct.pack("<Q", len(header)) + header + whole[8 + length:]
        else:
            yield kind, damaged(good[kind], choose)


def touch(value, depth=0):
    """Read every element of what was loaded, so that a tensor outside its memory would show."""
    if isinstance(value, torch.Tensor):
        if value.numel() < 1 << 16:
            value.detach().clone().tolist()
    elif depth < 20 and isinstance(value, dict):
        for item in list(value.values()):
            touch(item, depth + 1)
    elif depth < 20 and isinstance(value, (list, tuple)):
        for item in value:
            touch(item, depth + 1)


def run(count, seed=0):
    """Load `count` damaged files; returns how many loaded and how many gave which error, by kind of damage."""
    outcomes = collections.Counter()
    for number, (kind, data) in enumerate(mutations(count, seed)):
        signal.alarm(SECONDS)
        try:
            touch(torch.load(io.BytesIO(data), weights_only=number % 2 == 0))
            outcomes[kind, "loaded"] += 1
        except EXPECTED as error:
            outcomes[kind, type(error).__name__] += 1
        except BaseException as error:
            print(f"file {number} of seed {seed} ({kind}): {type(error).__name__}: {error}")
            raise
        finally:
            signal.alarm(0)
    return outcomes


def main():
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for (kind, outcome), times in sorted(run(count, seed).items()):
        print(f"{kind:12} {outcome:20} {times}")
    print(f"{count} files: errors where they should be, and nothing else")


if __name__ == "__main__":
    main()
