"""The table of scripts in foreign sources: their small invented data and their arguments."""
from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..small_datasets import idx, python2_pickle

Maker = Callable[[Path], None]


def mnist(at: str, train: int = 300, test: int = 100, name: str = "MNIST") -> Maker:
    """Bars and noise whose place tells the class, as MNIST, in `at`/MNIST/raw."""
    def make(cwd: Path) -> None:
        folder = cwd / at / name / "raw"
        folder.mkdir(parents=True)
        generator = np.random.default_rng(0)
        for part, count in (("train", train), ("t10k", test)):
            labels = np.arange(count, dtype=np.uint8) % 10
            images = generator.integers(0, 60, (count, 28, 28), dtype=np.uint8)
            for image, label in zip(images, labels):
                image[4:24, 2 * label + 3:2 * label + 6] = 255
            (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
            (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
    return make


def cifar10(at: str, count: int = 4) -> Maker:
    """`count` images in each file of CIFAR-10."""
    def make(cwd: Path) -> None:
        import pickle
        folder = cwd / at / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        generator = np.random.default_rng(0)
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
            pixels = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
            (folder / name).write_bytes(python2_pickle(pixels, [i % 10 for i in range(count)], "labels"))
        meta = {"label_names": [f"kind {i}" for i in range(10)]}
        (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return make


def text(path: str, words: int = 3000) -> Maker:
    """Sentences of a few words."""
    def make(cwd: Path) -> None:
        rng = random.Random(0)
        vocabulary = "the a cat dog bird house tree sees likes finds of and big small red".split()
        lines = [" ".join(rng.choice(vocabulary) for _ in range(12)) + ". O God, O God!" for _ in range(words // 12)]
        (cwd / path).parent.mkdir(parents=True, exist_ok=True)
        (cwd / path).write_text("\n".join(lines) + "\n")
    return make


def images(at: str, count: int = 4, size: int = 96) -> Maker:
    """PNG files of smooth colours."""
    def make(cwd: Path) -> None:
        from PIL import Image
        (cwd / at).mkdir(parents=True)
        ramp = np.add.outer(np.arange(size), np.arange(size))[..., None]
        for i in range(count):
            pixels = (ramp * np.array([1, 2, 3]) * (i + 1) // 4 % 256).astype(np.uint8)
            Image.fromarray(pixels).save(cwd / at / f"{i}.png")
    return make


def written(path: str, content: str) -> Maker:
    """A file with this text."""
    def make(cwd: Path) -> None:
        (cwd / path).parent.mkdir(parents=True, exist_ok=True)
        (cwd / path).write_text(content)
    return make


STUBS = {"six/__init__.py": "", "six/moves/__init__.py": "import urllib, urllib.request", "requests.py": "",
         "tiktoken.py": ""}


@dataclass
class Script:
    """A script: `folder` of the sources is copied to `inside` of a new place, `data` made, `commands` run in `cwd`."""

    name: str
    group: str
    folder: str
    commands: list[str]
    data: list[Maker] = field(default_factory=list)
    cwd: str = "."
    inside: str = "."
    path: list[str] = field(default_factory=list)
    timeout: float = 240

    def available(self, root: Path) -> bool:
        """Whether the sources are there."""
        return (root / self.folder).exists()

    def prepare(self, root: Path, place: Path) -> Path:
        """Copy and make what is needed; the folder to run in."""
        if self.folder:
            shutil.copytree(root / self.folder, place / "source" / self.inside,
                            ignore=shutil.ignore_patterns(".git"))
        for name, content in STUBS.items():
            written(name, content)(place / "stubs")
        cwd = place / "source" / self.inside / self.cwd
        cwd.mkdir(parents=True, exist_ok=True)
        for make in self.data:
            make(cwd)
        return cwd

    def python_path(self, place: Path) -> list[str]:
        """Where the script finds its modules, besides its own folder."""
        return [str(place / "stubs"), *(str(place / "source" / part) for part in self.path)]


def example(name: str, commands: list[str], data: list[Maker], label: str = "") -> Script:
    """One of pytorch/examples, in its own folder so that ../data is its own as well."""
    return Script(label or name, "pytorch/examples", f"examples/{name}", commands, data, inside="example")


SKORCH = """
import numpy as np, torch
from torch import nn
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EarlyStopping, EpochScoring, LRScheduler, Checkpoint

X, y = make_classification(400, 20, n_informative=10, random_state=0)
X, y = X.astype(np.float32), y.astype(np.int64)
torch.manual_seed(0)

class Net(nn.Module):
    def __init__(self, num_units=10, nonlin=nn.ReLU()):
        super().__init__()
        self.dense0, self.nonlin, self.dropout = nn.Linear(20, num_units), nonlin, nn.Dropout(0.2)
        self.dense1, self.output = nn.Linear(num_units, num_units), nn.Linear(num_units, 2)
    def forward(self, X, **kwargs):
        X = self.dropout(self.nonlin(self.dense0(X)))
        return torch.softmax(self.output(self.nonlin(self.dense1(X))), dim=-1)

net = NeuralNetClassifier(Net, max_epochs=12, lr=0.1, iterator_train__shuffle=True, callbacks=[
    EpochScoring('roc_auc', lower_is_better=False), LRScheduler('StepLR', step_size=5), EarlyStopping(patience=10),
    Checkpoint(dirname='check')])
net.fit(X, y)
print('accuracy', (net.predict(X) == y).mean())
assert (net.predict(X) == y).mean() > 0.7
assert net.predict_proba(X).shape == (400, 2)
net.save_params(f_params='net.pt', f_optimizer='opt.pt', f_history='history.json')
again = NeuralNetClassifier(Net).initialize()
again.load_params(f_params='net.pt')
assert np.allclose(again.predict_proba(X), net.predict_proba(X))
import pickle
assert np.allclose(pickle.loads(pickle.dumps(net)).predict_proba(X), net.predict_proba(X))
pipe = Pipeline([('scale', StandardScaler()), ('net', NeuralNetClassifier(Net, max_epochs=3, lr=0.1, verbose=0))])
pipe.fit(X, y)
search = GridSearchCV(NeuralNetClassifier(Net, max_epochs=2, verbose=0, train_split=None, optimizer=torch.optim.Adam),
                      {'lr': [0.01, 0.02], 'module__num_units': [5, 10]}, cv=2, scoring='accuracy')
search.fit(X, y)
print(search.best_score_, search.best_params_)
regressor = NeuralNetRegressor(nn.Linear(20, 1), max_epochs=3, lr=0.01)
regressor.fit(X, X[:, :1])
print('valid_loss', regressor.history[-1, 'valid_loss'])
"""
D2L = """
import sys
from pathlib import Path
from unittest.mock import MagicMock
for name in ('IPython', 'pandas', 'requests', 'matplotlib', 'matplotlib_inline', 'gym'):
    sys.modules[name] = MagicMock()
from tests.oracle.model_worker import code_of_chapter
from d2l import torch as d2l
class tab:
    interact_select = staticmethod(lambda *names: None)
    selected = staticmethod(lambda *names: 'pytorch' in names)
exec(compile(code_of_chapter(Path('CHAPTER')), 'CHAPTER', 'exec'))
batch = next(iter(data.val_dataloader()))
print('loss', float(model.loss(model(*batch[:-1]), batch[-1])))
"""
GPT = ("--device=cpu --compile=False --eval_iters=2 --log_interval=5 --block_size=32 --batch_size=4 --n_layer=2 "
       "--n_head=2 --n_embd=32 --max_iters=20 --lr_decay_iters=20 --dropout=0.1 --eval_interval=10")
EPOCH = "--epochs 1 --batch-size 32 --test-batch-size 50"
SCRIPTS = [
    example("mnist", [f"main.py {EPOCH} --save-model"], [mnist("../data")]),
    example("mnist_rnn", [f"main.py {EPOCH}"], [mnist("../data")]),
    example("mnist_hogwild", ["main.py --epochs 1 --batch-size 32 --num-processes 2"], [mnist("../data")]),
    example("mnist_forward_forward", ["main.py --epochs 3 --train_size 100 --test_size 50"], [mnist("data")]),
    example("siamese_network", [f"main.py {EPOCH} --save-model"], [mnist("../data", 120, 60)]),
    example("vae", ["main.py --epochs 1 --batch-size 32"], [mnist("../data"), lambda cwd: (cwd / "results").mkdir(
        exist_ok=True)]),
    example("dcgan", ["main.py --dataset fake --dry-run --batchSize 8 --imageSize 64 --ngf 8 --ndf 8 --workers 0"], [],
            "dcgan fake"),
    example("dcgan", ["main.py --dataset mnist --dataroot data --niter 1 --batchSize 32 --ngf 8 --ndf 8 --workers 1 "
                      "--outf ."], [mnist("data")], "dcgan mnist"),
    example("super_resolution", ["main.py --upscale_factor 3 --batchSize 2 --testBatchSize 2 --nEpochs 1 --threads 1",
                                 "super_resolve.py --input_image dataset/BSDS300/images/test/0.png --model "
                                 "model_epoch_1.pth --output_filename out.png"],
            [images("dataset/BSDS300/images/train", 4, 300), images("dataset/BSDS300/images/test", 2, 300)]),
    example("time_sequence_prediction", ["generate_sine_wave.py", "train.py --steps 1"], []),
    example("regression", ["main.py"], []),
    *(example("word_language_model", [
        f"main.py --data text --epochs 1 --model {kind} --emsize 16 --nhid 16 --bptt 10 --log-interval 5{extra}",
        "generate.py --data text --words 20"], [text(f"text/{part}.txt") for part in ("train", "valid", "test")],
        f"word_language_model {kind}{extra}")
      for kind, extra in (("LSTM", " --tied"), ("GRU", ""), ("RNN_TANH", ""), ("RNN_RELU", ""), ("Transformer", ""),
                          ("LSTM", " --use-optimizer"))),
    example("imagenet", ["main.py -a resnet18 --epochs 1 -b 2 -j 0 -p 1 sample"],
            [images("sample/train/a", 2, 80), images("sample/train/b", 2, 80), images("sample/val/a", 1, 80),
             images("sample/val/b", 1, 80)]),
    Script("nanoGPT", "nanoGPT", "nanoGPT", [
        "data/shakespeare_char/prepare.py", f"train.py config/train_shakespeare_char.py {GPT}",
        f"train.py config/train_shakespeare_char.py {GPT} --init_from=resume --max_iters=25",
        "sample.py --out_dir=out-shakespeare-char --device=cpu --num_samples=1 --max_new_tokens=20"],
        [text("data/shakespeare_char/input.txt")], path=["."]),
    *(Script(f"makemore {kind}", "makemore", "makemore", [
        f"makemore.py -i names.txt -o out --max-steps 12 --type {kind} -n {workers} --n-layer 2 --n-embd 16"])
      for kind, workers in (("transformer", 0), ("mlp", 1), ("rnn", 0), ("gru", 0), ("bow", 0), ("bigram", 0))),
    Script("minGPT adder", "minGPT", "minGPT", ["projects/adder/adder.py --trainer.max_iters=3 --trainer.num_workers=0 "
                                                "--trainer.device=cpu"], path=["."]),
    Script("minGPT chargpt", "minGPT", "minGPT", [
        "projects/chargpt/chargpt.py --trainer.max_iters=3 --trainer.num_workers=0 --trainer.device=cpu "
        "--model.model_type=gpt-nano --trainer.batch_size=4"], [text("input.txt")], path=["."]),
    *(Script(f"tutorial {name}", "pytorch-tutorial", "pytorch-tutorial/tutorials", ["main.py"], data, cwd=folder)
      for name, folder, data in (
        ("linear regression", "01-basics/linear_regression", []),
        ("logistic regression", "01-basics/logistic_regression", [mnist("../../data")]),
        ("feedforward", "01-basics/feedforward_neural_network", [mnist("../../data")]),
        ("convnet", "02-intermediate/convolutional_neural_network", [mnist("../../data")]),
        ("resnet", "02-intermediate/deep_residual_network", [cifar10("../../data", 2)]),
        ("rnn", "02-intermediate/recurrent_neural_network", [mnist("../../data", 100, 50)]),
        ("birnn", "02-intermediate/bidirectional_recurrent_neural_network", [mnist("../../data", 100, 50)]),
        ("language model", "02-intermediate/language_model", [text("data/train.txt", 1500)]),
        ("gan", "03-advanced/generative_adversarial_network", [mnist("../../data", 100, 10)]),
        ("vae", "03-advanced/variational_autoencoder", [mnist("../../data", 256, 10)]))),
    *(Script(f"GAN {name}", "PyTorch-GAN", f"PyTorch-GAN/implementations/{name}", [
        f"{name}.py --n_epochs 1 --n_cpu 0 --batch_size 32 --sample_interval 4{extra}"],
        [mnist("../../data/mnist", 96)], inside=f"implementations/{name}")
      for name, extra in (("gan", ""), ("dcgan", ""), ("wgan", ""), ("wgan_gp", ""), ("lsgan", ""),
                          ("cgan", ""), ("acgan", ""), ("infogan", ""), ("sgan", ""), ("ebgan", ""),
                          ("relativistic_gan", ""))),
    *(Script(f"d2l {chapter}", "d2l", "d2l-en", ["read.py"], [
        written("read.py", D2L.replace("CHAPTER", chapter)), mnist("../data", 96, 64, "FashionMNIST")])
      for chapter in ("chapter_convolutional-modern/batch-norm.md", "chapter_convolutional-modern/resnet.md",
                      "chapter_convolutional-neural-networks/lenet.md", "chapter_linear-classification/"
                      "softmax-regression-concise.md", "chapter_multilayer-perceptrons/mlp-implementation.md")),
    *(Script(f"Morvan {name}", "PyTorch-Tutorial", "PyTorch-Tutorial/tutorial-contents", [f"{name}.py"], data)
      for name, data in (
        ("202_variable", []), ("203_activation", []), ("301_regression", []),
        ("302_classification", []), ("303_build_nn_quickly", []), ("305_batch_train", []),
        ("306_optimizer", []), ("402_RNN_classifier", [mnist("mnist", 300, 2000)]), ("403_RNN_regressor", []),
        ("404_autoencoder", [mnist("mnist", 300, 100)]), ("501_why_torch_dynamic_graph", []), ("503_dropout", []),
        ("504_batch_normalization", []))),
    Script("TCN copy", "TCN", "TCN", ["TCN/copy_memory/copymem_test.py --cuda --epochs 1 --iters 4 --blank_len 50 "
                                      "--batch_size 16 --levels 3"], path=["."]),
    Script("skorch", "skorch", "", ["fit.py"], [written("fit.py", SKORCH)]),
]
