"""The table of models in foreign sources: where each is, how it is built, and what it is given."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Group:
    """Models of one repository: `setup` is run first, then each entry is (name, build, inputs[, options])."""

    name: str
    folder: str
    setup: str
    entries: list[tuple]
    stubs: list[str] = field(default_factory=list)
    shells: dict[str, str] = field(default_factory=dict)

    def cases(self, root: Path) -> list[dict[str, Any]]:
        """What the worker needs for each model; none if the sources are absent."""
        source = root / self.folder
        if not source.exists():
            return []
        cases = []
        for name, build, inputs, *rest in self.entries:
            options = rest[0] if rest else {}
            cases.append({"id": re.sub(r"\W+", "_", f"{self.name} {name}"), "name": name, "group": self.name,
                          "source": str(source), "build": build, "inputs": inputs, "train": options.get("train", True),
                          "call": options.get("call", ""), "setup": options.get("setup", self.setup),
                          "stubs": self.stubs + options.get("stubs", []), "shells": self.shells})
        return cases


def calls(names: str, inputs: str, options: dict[str, Any] | None = None) -> list[tuple]:
    """Entries for builders without arguments."""
    return [(name, name if "(" in name else f"{name}()", inputs, options or {}) for name in names.split()]


SMALL = "image(4, 3, 32, 32)"
GROUPS = [
    Group("pytorch-cifar", "pytorch-cifar", "from models import *",
          calls("VGG('VGG11') VGG('VGG16') LeNet ResNet18 ResNet50 PreActResNet18 PreActResNet50 GoogLeNet "
                "DenseNet121 densenet_cifar ResNeXt29_2x64d MobileNet MobileNetV2 DPN26 SENet18 "
                "ShuffleNetV2(1) RegNetX_200MF RegNetY_400MF PNASNetA PNASNetB SimpleDLA DLA", SMALL)
          + calls("EfficientNetB0", SMALL, {"train": False})),
    Group("pytorch-cifar100", "pytorch-cifar100", "",
          [(name, f"__import__('models.{module}', fromlist=['x']).{name}()", SMALL, {"train": train})
           for module, name, train in (
              ("attention", "attention56", True), ("densenet", "densenet121", True), ("googlenet", "googlenet", True),
              ("inceptionv3", "inceptionv3", True), ("inceptionv4", "inceptionv4", False),
              ("mobilenet", "mobilenet", True), ("mobilenetv2", "mobilenetv2", True), ("nasnet", "nasnet", False),
              ("preactresnet", "preactresnet18", True), ("resnet", "resnet18", True), ("resnext", "resnext50", True),
              ("rir", "resnet_in_resnet", True), ("senet", "seresnet18", True), ("shufflenet", "shufflenet", True),
              ("shufflenetv2", "shufflenetv2", True), ("squeezenet", "squeezenet", True),
              ("stochasticdepth", "stochastic_depth_resnet18", False), ("vgg", "vgg16_bn", True),
              ("wideresidual", "wideresnet", True), ("xception", "xception", True))]),
    Group("torchvision", "vision", "import importlib\ndef load(name): "
          "return importlib.import_module('torchvision_source.models.' + name)",
          [(f"{module}.{name}", f"load('{module}').{name}({args})", inputs, {"train": train})
           for module, name, args, inputs, train in (
              ("resnet", "resnet18", "", "image(4, 3, 64, 64)", True),
              ("resnet", "resnext50_32x4d", "", "image(4, 3, 64, 64)", True),
              ("vgg", "vgg11_bn", "", "image(2, 3, 64, 64)", True),
              ("alexnet", "alexnet", "", "image(2, 3, 80, 80)", True),
              ("densenet", "densenet121", "", "image(4, 3, 64, 64)", True),
              ("mobilenetv2", "mobilenet_v2", "", "image(4, 3, 64, 64)", True),
              ("mobilenetv3", "mobilenet_v3_small", "", "image(4, 3, 64, 64)", True),
              ("mobilenetv3", "mobilenet_v3_large", "", "image(4, 3, 64, 64)", True),
              ("googlenet", "googlenet", "init_weights=False", "image(2, 3, 96, 96)", True),
              ("inception", "inception_v3", "init_weights=False", "image(2, 3, 299, 299)", False),
              ("shufflenetv2", "shufflenet_v2_x1_0", "", "image(4, 3, 64, 64)", True),
              ("squeezenet", "squeezenet1_1", "", "image(2, 3, 64, 64)", True),
              ("efficientnet", "efficientnet_b0", "", "image(2, 3, 64, 64)", False),
              ("efficientnet", "efficientnet_v2_s", "", "image(2, 3, 64, 64)", False),
              ("regnet", "regnet_y_400mf", "", "image(4, 3, 64, 64)", True),
              ("regnet", "regnet_x_400mf", "", "image(4, 3, 64, 64)", True),
              ("convnext", "convnext_tiny", "", "image(2, 3, 64, 64)", False),
              ("mnasnet", "mnasnet0_5", "", "image(4, 3, 64, 64)", True),
              ("vision_transformer", "vit_b_32", "image_size=64", "image(2, 3, 64, 64)", True),
              ("swin_transformer", "swin_t", "", "image(2, 3, 64, 64)", False),
              ("swin_transformer", "swin_v2_t", "", "image(2, 3, 64, 64)", False))],
          shells={"torchvision_source": "torchvision", "torchvision_source.models": "torchvision/models",
                  "torchvision_source.ops": "torchvision/ops"}),
    Group("nanoGPT", "nanoGPT", "from model import GPT, GPTConfig\nconfig = dict(block_size=16, vocab_size=65, "
          "n_layer=3, n_head=4, n_embd=32, dropout=0.0)",
          [("GPT", "GPT(GPTConfig(**config, bias=True))", "tokens(65, 3, 16), tokens(65, 3, 16)"),
           ("GPT without bias", "GPT(GPTConfig(**config, bias=False))", "tokens(65, 3, 16), tokens(65, 3, 16)")]),
    Group("minGPT", "minGPT", "from mingpt.model import GPT\nconfig = GPT.get_default_config()\n"
          "config.model_type, config.vocab_size, config.block_size = 'gpt-nano', 50, 12",
          [("GPT", "GPT(config)", "tokens(50, 3, 12), tokens(50, 3, 12)")]),
    Group("makemore", "makemore", "import makemore as m\nconfig = m.ModelConfig(vocab_size=27, block_size=8, "
          "n_layer=2, n_embd=16, n_embd2=16, n_head=4)",
          [(kind, f"m.{kind}(config{extra})", "tokens(27, 4, 8), tokens(27, 4, 8)") for kind, extra in (
              ("Transformer", ""), ("Bigram", ""), ("MLP", ""), ("RNN", ", 'rnn'"), ("RNN", ", 'gru'"), ("BoW", ""))],
          stubs=["torch.utils.tensorboard"]),
]


def from_script(path: str, classes: str, arguments: str = "") -> str:
    """Setup that executes the imports, the plain assignments and the definitions of a script, and nothing else."""
    return (f"import ast, argparse\ntree = ast.parse((Path(source) / {path!r}).read_text())\n"
            "keep = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom, ast.ClassDef, "
            f"ast.FunctionDef))]\nopt = argparse.Namespace({arguments})\n{classes}\n"
            "exec(compile(ast.Module(keep, []), 'script', 'exec'))")


def scripts(folder: str, entries: list[tuple]) -> list[tuple]:
    """Entries for classes within scripts: (name, file, assignments before, build, inputs[, options])."""
    return [(name, build, inputs, {"setup": from_script(path, before), **(rest[0] if rest else {})})
            for name, path, before, build, inputs, *rest in entries]


GROUPS.append(Group("pytorch/examples", "examples", "", scripts("examples", [
    ("mnist", "mnist/main.py", "", "Net()", "image(4, 1, 28, 28)"),
    ("mnist_rnn", "mnist_rnn/main.py", "", "Net()", "image(4, 1, 28, 28)"),
    ("vae", "vae/main.py", "", "VAE()", "unit(4, 784)", {"call": "model.decode(model.encode(*args)[0])"}),
    ("dcgan generator", "dcgan/main.py", "nz, ngf, nc = 10, 8, 3", "Generator(1)", "image(4, 10, 1, 1)"),
    ("dcgan discriminator", "dcgan/main.py", "ndf, nc = 8, 3", "Discriminator(1)", "image(4, 3, 64, 64)"),
    ("siamese", "siamese_network/main.py", "", "SiameseNetwork()", "unit(4, 1, 28, 28), unit(4, 1, 28, 28)"),
    ("super_resolution", "super_resolution/model.py", "", "Net(3)", "unit(2, 1, 17, 17)"),
    ("time_sequence", "time_sequence_prediction/train.py", "", "Sequence().double()", "unit(3, 20).double()",
     {"call": "model(args[0], 5)"}),
    ("word LSTM", "word_language_model/model.py", "", "RNNModel('LSTM', 50, 16, 16, 2, 0.0, True)",
     "tokens(50, 7, 3)", {"call": "model(args[0], model.init_hidden(3))"}),
    ("word GRU", "word_language_model/model.py", "", "RNNModel('GRU', 50, 16, 12, 2, 0.0)", "tokens(50, 7, 3)",
     {"call": "model(args[0], model.init_hidden(3))"}),
    ("word RNN_TANH", "word_language_model/model.py", "", "RNNModel('RNN_TANH', 50, 16, 12, 2, 0.0)",
     "tokens(50, 7, 3)", {"call": "model(args[0], model.init_hidden(3))"}),
    ("word Transformer", "word_language_model/model.py", "", "TransformerModel(50, 16, 2, 24, 2, 0.0)",
     "tokens(50, 7, 3)"),
    ("fast_neural_style", "fast_neural_style/neural_style/transformer_net.py", "", "TransformerNet()",
     "unit(2, 3, 32, 32)"),
    ("GAT", "gat/main.py", "requests = None", "GAT(12, 8, 2, 4, dropout=0.0)", "unit(9, 12), unit(9, 9) < 0.5",
     {}),
    ("actor_critic", "reinforcement_learning/actor_critic.py", "", "Policy()", "image(5, 4)"),
    ("reinforce", "reinforcement_learning/reinforce.py", "", "Policy()", "image(5, 4)"),
    ("translation", "language_translation/src/model.py", "", "Translator(2, 2, 16, 4, 30, 31, 24, 0.0)",
     "tokens(30, 6, 3), tokens(31, 5, 3)",
     {"call": "model(*args, torch.zeros(6, 6), torch.zeros(5, 5), torch.zeros(3, 6).bool(), "
              "torch.zeros(3, 5).bool(), torch.zeros(3, 6).bool())"}),
]), stubs=["requests", "gymnasium", "six", "six.moves"]))

GAN = ("latent_dim=16, img_size=32, channels=1, n_classes=10, code_dim=2, batch_size=4, ngf=8, "
       "num_classes=10, n_critic=5")


def gan(name: str, parts: list[tuple], before: str = "") -> list[tuple]:
    """Entries for the networks of one script of PyTorch-GAN."""
    before = f"img_shape = (1, 32, 32)\ncuda = False\n{before}"
    return [(f"{name} {build.split('(')[0].lower()}", build, inputs, {
        "setup": from_script(f"implementations/{name}/{name}.py", before, GAN)}) for build, inputs in parts]


FLAT, MAPS = [("Generator()", "image(4, 16)"), ("Discriminator()", "image(4, 1, 32, 32)")], "image(4, 1, 32, 32)"
GROUPS.append(Group("PyTorch-GAN", "PyTorch-GAN", "", [entry for entries in [
    gan("gan", FLAT), gan("dcgan", FLAT), gan("wgan", FLAT), gan("wgan_gp", FLAT), gan("lsgan", FLAT),
    gan("dragan", FLAT), gan("softmax_gan", FLAT), gan("began", FLAT), gan("ebgan", FLAT), gan("bgan", FLAT),
    gan("relativistic_gan", FLAT),
    gan("cgan", [("Generator()", "image(4, 16), tokens(10, 4)"), ("Discriminator()", f"{MAPS}, tokens(10, 4)")]),
    gan("acgan", [("Generator()", "image(4, 16), tokens(10, 4)"), ("Discriminator()", MAPS)]),
    gan("infogan", [("Generator()", "image(4, 16), image(4, 10), image(4, 2)"), ("Discriminator()", MAPS)]),
    gan("sgan", [("Generator()", "image(4, 16)"), ("Discriminator()", MAPS)]),
    gan("aae", [("Decoder()", "image(4, 16)"), ("Discriminator()", "image(4, 16)")],
        "import torch\nTensor = torch.FloatTensor"),
] for entry in entries]))

GROUPS.append(Group("pytorch-tutorial", "pytorch-tutorial/tutorials", "", scripts("", [
    ("feedforward", "01-basics/feedforward_neural_network/main.py", "", "NeuralNet(784, 50, 10)", "image(4, 784)"),
    ("convnet", "02-intermediate/convolutional_neural_network/main.py", "", "ConvNet(10)", "image(4, 1, 28, 28)"),
    ("resnet", "02-intermediate/deep_residual_network/main.py", "", "ResNet(ResidualBlock, [2, 2, 2])", SMALL),
    ("rnn", "02-intermediate/recurrent_neural_network/main.py", "import torch\ndevice = torch.device('cpu')",
     "RNN(28, 16, 2, 10)", "image(4, 28, 28)"),
    ("birnn", "02-intermediate/bidirectional_recurrent_neural_network/main.py",
     "import torch\ndevice = torch.device('cpu')", "BiRNN(28, 16, 2, 10)", "image(4, 28, 28)"),
    ("rnnlm", "02-intermediate/language_model/main.py", "", "RNNLM(40, 12, 16, 1)", "tokens(40, 3, 6)",
     {"call": "model(args[0], (torch.zeros(1, 3, 16), torch.zeros(1, 3, 16)))"}),
    ("image captioning decoder", "03-advanced/image_captioning/model.py", "", "DecoderRNN(12, 16, 30, 1)",
     "image(3, 12), tokens(30, 3, 6)", {"call": "model(*args, [6, 5, 3])"}),
]), stubs=["data_utils"]))

VIT = "image(2, 3, 32, 32)"
COMMON = "image_size=32, patch_size=8, num_classes=7, dim=24, depth=2, heads=3, mlp_dim=32"
GROUPS.append(Group("vit-pytorch", "vit-pytorch",
                    "import sys\nsys.path.insert(1, str(Path(source).parent / 'einops'))\n"
                    "def load(name): return __import__('vit_pytorch.' + name, fromlist=['x'])", [
    (f"{module}.{name}", f"load('{module}').{name}({args})", inputs, {"train": module != "cct"})
    for module, name, args, inputs in (
        ("vit", "ViT", COMMON, VIT), ("simple_vit", "SimpleViT", COMMON, VIT), ("deepvit", "DeepViT", COMMON, VIT),
        ("cait", "CaiT", COMMON.replace("depth=2", "depth=2, cls_depth=1"), VIT),
        ("parallel_vit", "ViT", COMMON, VIT), ("rvt", "RvT", COMMON.replace("patch_size=8", "patch_size=8"), VIT),
        ("vit_for_small_dataset", "ViT", COMMON, VIT), ("simple_vit_with_qk_norm", "SimpleViT", COMMON, VIT),
        ("simple_vit_with_register_tokens", "SimpleViT", COMMON, VIT),
        ("simple_flash_attn_vit", "SimpleViT", COMMON + ", use_flash=True", VIT),
        ("vit_1d", "ViT", "seq_len=32, patch_size=8, num_classes=5, dim=16, depth=2, heads=2, mlp_dim=16",
         "image(2, 3, 32)"),
        ("vit_3d", "ViT", "image_size=16, image_patch_size=8, frames=4, frame_patch_size=2, num_classes=5, dim=16, "
         "depth=2, heads=2, mlp_dim=16", "image(2, 3, 4, 16, 16)"),
        ("vit_with_patch_merger", "ViT", COMMON + ", patch_merge_layer=1, patch_merge_num_tokens=4", VIT),
        ("cct", "CCT", "img_size=32, embedding_dim=24, n_conv_layers=2, kernel_size=3, stride=2, padding=1, "
         "num_layers=2, num_heads=2, mlp_ratio=2., num_classes=5, positional_embedding='learnable'", VIT),
        ("pit", "PiT", "image_size=32, patch_size=8, dim=24, num_classes=5, depth=(1, 1), heads=2, mlp_dim=24", VIT),
        ("levit", "LeViT", "image_size=64, num_classes=5, stages=2, dim=(16, 24), depth=1, heads=(2, 2), mlp_mult=2",
         "image(2, 3, 64, 64)"),
        ("mobile_vit", "MobileViT", "image_size=(64, 64), dims=[16, 24, 32], channels=[8, 8, 16, 16, 24, 24, 32, 32, "
         "40, 40, 48], num_classes=5", "image(4, 3, 64, 64)"),
        ("nest", "NesT", "image_size=32, patch_size=4, dim=16, heads=2, num_hierarchies=2, block_repeats=(1, 1), "
         "num_classes=5", VIT),
        ("t2t", "T2TViT", "dim=24, image_size=32, depth=2, heads=2, mlp_dim=32, num_classes=5, "
         "t2t_layers=((7, 4), (3, 2))", VIT),
        ("cvt", "CvT", "num_classes=5, s1_depth=1, s2_depth=1, s3_depth=1", "image(2, 3, 64, 64)"),
        ("twins_svt", "TwinsSVT", "num_classes=5, s1_depth=1, s2_depth=1, s3_depth=1, s4_depth=1",
         "image(2, 3, 224, 224)"),
        ("crossformer", "CrossFormer", "num_classes=5, dim=(32, 32, 32, 64), depth=(1, 1, 1, 1), "
         "global_window_size=(4, 2, 2, 1), local_window_size=(4, 4, 2, 1)", "image(2, 3, 64, 64)"),
        ("max_vit", "MaxViT", "num_classes=5, dim=16, dim_conv_stem=16, dim_head=8, depth=(1, 1), window_size=4",
         "image(2, 3, 64, 64)"),
        ("xcit", "XCiT", COMMON.replace("depth=2", "depth=2, cls_depth=1"), VIT),
        ("scalable_vit", "ScalableViT", "num_classes=5, dim=16, heads=(1, 2), depth=(1, 1), ssa_dim_key=(8, 8), "
         "reduction_factor=(2, 1), window_size=(4, None)", "image(2, 3, 64, 64)"),
        ("sep_vit", "SepViT", "num_classes=5, dim=16, dim_head=8, heads=(1, 2), depth=(1, 1), window_size=7",
         "image(2, 3, 56, 56)"),
        ("regionvit", "RegionViT", "dim=(16, 16, 32, 32), depth=(1, 1, 1, 1), window_size=7, num_classes=5",
         "image(1, 3, 224, 224)"),
        ("cross_vit", "CrossViT", "image_size=64, num_classes=5, depth=1, sm_dim=16, sm_patch_size=16, sm_enc_depth=1, "
         "sm_enc_heads=2, sm_enc_mlp_dim=32, lg_dim=24, lg_patch_size=32, lg_enc_depth=1, lg_enc_heads=2, "
         "lg_enc_mlp_dim=32, cross_attn_depth=1, cross_attn_heads=2", "image(2, 3, 64, 64)"),
        ("na_vit", "NaViT", COMMON + ", token_dropout_prob=None", "[[image(3, 16, 32), image(3, 32, 16)], "
         "[image(3, 24, 24)]]"))], stubs=[]))

GROUPS.append(Group("cleanrl", "cleanrl", "class Space: shape = (4,); n = 2\n"
                    "class Envs: single_observation_space = single_action_space = Space\n"
                    "class Box:\n  shape = (6,)\n  low = np.zeros(6)\n  high = np.ones(6)\n"
                    "class Atari:\n  single_observation_space = type('S', (), {'shape': (4, 84, 84)})\n"
                    "  single_action_space = Space\n"
                    "class Continuous: single_observation_space = single_action_space = observation_space = "
                    "action_space = Box", [
    ("ppo", "load('ppo').Agent(Envs)", "image(5, 4)",
     {"call": "model.get_action_and_value(args[0], torch.ones(5))[1:]"}),
    ("ppo_atari", "load('ppo_atari').Agent(Atari)", "unit(2, 4, 84, 84)",
     {"call": "model.get_action_and_value(args[0], torch.ones(2))[1:]"}),
    ("ppo_continuous", "load('ppo_continuous_action').Agent(Continuous)", "image(5, 6)",
     {"call": "model.get_action_and_value(args[0], torch.ones(5, 6))[1:]"}),
    ("dqn", "load('dqn').QNetwork(Envs)", "image(5, 4)"), ("c51", "load('c51').QNetwork(Envs)", "image(5, 4)",
     {"call": "model.get_action(args[0])"}),
    ("sac actor", "load('sac_continuous_action').Actor(Continuous)", "image(5, 6)"),
    ("ddpg actor", "load('ddpg_continuous_action').Actor(Continuous)", "image(5, 6)"),
], stubs=["gymnasium", "gym", "tyro", "torch.utils.tensorboard", "stable_baselines3", "stable_baselines3.common",
          "stable_baselines3.common.atari_wrappers", "stable_baselines3.common.buffers", "cleanrl_utils",
          "cleanrl_utils.buffers", "cleanrl_utils.evals", "cleanrl_utils.atari_wrappers", "wandb"]))
GROUPS[-1].setup += "\ndef load(name): return __import__('cleanrl.' + name, fromlist=['x'])"

LABML = ["labml", "labml.logger", "labml.utils", "labml.utils.cache", "labml.utils.download", "labml.utils.pytorch",
         "labml_nn.helpers.trainer", "labml_nn.helpers.datasets", "labml_nn.helpers.device",
         "labml_nn.helpers.metrics", "labml_nn.helpers.optimizer"]
GROUPS.append(Group("labml", "annotated_deep_learning_paper_implementations",
                    "import sys, types\nsys.path.insert(1, str(Path(source).parent / 'einops'))\n"
                    "class Meta(type):\n  def __getattr__(cls, name): return None\n"
                    "class BaseConfigs(metaclass=Meta): pass\n"
                    "def decorate(*args, **options): return lambda f: f\n"
                    "sys.modules['labml.configs'] = types.SimpleNamespace(BaseConfigs=BaseConfigs, option=decorate, "
                    "calculate=decorate, aggregate=decorate)\n"
                    "def load(name): return __import__('labml_nn.' + name, fromlist=['x'])", [
    ("batch_norm", "load('normalization.batch_norm').BatchNorm(5)", "image(4, 5, 6, 6)"),
    ("layer_norm", "load('normalization.layer_norm').LayerNorm([5, 6])", "image(4, 5, 6)"),
    ("group_norm", "load('normalization.group_norm').GroupNorm(2, 6)", "image(4, 6, 3, 3)"),
    ("instance_norm", "load('normalization.instance_norm').InstanceNorm(6)", "image(4, 6, 3, 3)"),
    ("batch_channel_norm", "load('normalization.batch_channel_norm').BatchChannelNorm(6, 2)", "image(4, 6, 3, 3)"),
    ("resnet", "load('resnet').ResNetBase([2, 2], [8, 16], None, img_channels=3, first_kernel_size=3)",
     "image(4, 3, 16, 16)"),
    ("unet", "load('unet').UNet(3, 2)", "image(1, 3, 64, 64)"),
    ("ddpm unet", "load('diffusion.ddpm.unet').UNet(3, 32, (1, 2), (False, True), 1)",
     "image(2, 3, 16, 16), tokens(9, 2)"),
    ("lstm cell", "load('lstm').LSTMCell(5, 6, True)", "image(3, 5), image(3, 6), image(3, 6)"),
    ("hypernetworks", "load('hypernetworks.hyper_lstm').HyperLSTM(5, 6, 4, 3, 2)", "image(7, 3, 5)"),
    ("recurrent highway", "load('recurrent_highway_networks').RHN(5, 6, 2, 2)", "image(7, 3, 5)"),
    ("mha", "load('transformers.mha').MultiHeadAttention(2, 8, 0.0)", "image(5, 3, 8)",
     {"call": "model(query=args[0], key=args[0], value=args[0])"}),
    ("switch", "load('transformers.feed_forward').FeedForward(8, 16, 0.0)", "image(5, 3, 8)"),
    ("rope", "load('transformers.rope').RotaryPEMultiHeadAttention(2, 8, 0.5, 0.0)", "image(5, 3, 8)",
     {"call": "model(query=args[0], key=args[0], value=args[0])"}),
    ("relative mha", "load('transformers.xl.relative_mha').RelativeMultiHeadAttention(2, 8, 0.0)", "image(5, 3, 8)",
     {"call": "model(query=args[0], key=args[0], value=args[0])"}),
    ("alibi", "load('transformers.alibi').AlibiMultiHeadAttention(2, 8, 0.0)", "image(5, 3, 8)",
     {"call": "model(query=args[0], key=args[0], value=args[0], "
              "mask=torch.tril(torch.ones(5, 5)).bool()[:, :, None])"}),
    ("conv_mixer", "load('conv_mixer').ConvMixer(load('conv_mixer').ConvMixerLayer(8, 3), 2, "
     "load('conv_mixer').PatchEmbeddings(8, 4, 3), load('conv_mixer').ClassificationHead(8, 5))",
     "image(4, 3, 16, 16)"),
    ("vit", "load('transformers.vit').VisionTransformer(load('transformers.models').TransformerLayer(d_model=8, "
     "self_attn=load('transformers.mha').MultiHeadAttention(2, 8, 0.0), src_attn=None, "
     "feed_forward=load('transformers.feed_forward').FeedForward(8, 16, 0.0), dropout_prob=0.0), 2, "
     "load('transformers.vit').PatchEmbeddings(8, 4, 3), load('transformers.vit').LearnedPositionalEmbeddings(8), "
     "load('transformers.vit').ClassificationHead(8, 12, 5))", "image(4, 3, 16, 16)"),
    ("gat", "load('graphs.gat').GraphAttentionLayer(6, 8, 2, dropout=0.0)",
     "image(5, 6), torch.ones(5, 5, 1, dtype=torch.bool)"),
    ("gatv2", "load('graphs.gatv2').GraphAttentionV2Layer(6, 8, 2, dropout=0.0)",
     "image(5, 6), torch.ones(5, 5, 1, dtype=torch.bool)"),
    ("capsules", "load('capsule_networks').Router(4, 3, 5, 6, 2)", "image(2, 4, 5)"),
    ("cycle_gan generator", "load('gan.cycle_gan').GeneratorResNet(3, 1)", "image(1, 3, 32, 32)"),
    ("stylegan generator", "load('gan.stylegan').Generator(4, 8, n_features=4, max_features=8)", "image(3, 2, 8)",
     {"call": "model(args[0], [(None, torch.ones(2, 1, 4, 4)), (torch.ones(2, 1, 8, 8),) * 2, "
              "(torch.ones(2, 1, 16, 16),) * 2])"}),
    ("sketch_rnn encoder", "load('sketch_rnn').EncoderRNN(6, 8)", "image(7, 3, 5)",
     {"call": "model(args[0])[1:]"}),
    ("primer_ez", "load('transformers.primer_ez').SpatialDepthWiseConvolution(8)", "image(5, 3, 2, 8)"),
    ("fnet", "load('transformers.mlp_mixer').MLPMixer(load('transformers.feed_forward').FeedForward(5, 16, 0.0))",
     "image(5, 3, 5)", {"call": "model(query=args[0], key=args[0], value=args[0])"}),
], stubs=LABML))

D2L = ("class tab: selected = staticmethod(lambda *names: 'pytorch' in names)\n"
       "class d2l:\n  Module = nn.Module; Classifier = nn.Module\n  init_cnn = staticmethod(lambda m: None)\n"
       "  add_to_class = staticmethod(lambda c: (lambda f: setattr(c, f.__name__, f) or f))\n"
       "  Trainer = FashionMNIST = HyperParameters = type('Absent', (), {})\n"
       "nn.Module.save_hyperparameters = lambda self, ignore=(): None\n"
       "def definitions(name):\n  import ast\n  tree = ast.parse(chapter(Path(source) / name))\n"
       "  keep = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef))]\n"
       "  return compile(ast.Module(keep, []), name, 'exec')\n")


def d2l(chapter: str) -> dict[str, Any]:
    """The definitions of a chapter."""
    return {"setup": f"{D2L}exec(definitions('{chapter}'))"}


GROUPS.append(Group("d2l", "d2l-en/chapter_convolutional-modern", "", [
    ("batch norm from scratch", "BNLeNetScratch()", "image(6, 1, 28, 28)",
     {**d2l("batch-norm.md"), "call": "model.net(*args)"}),
    ("batch norm concise", "BNLeNet()", "image(6, 1, 28, 28)", {**d2l("batch-norm.md"), "call": "model.net(*args)"}),
    ("residual block", "Residual(6, use_1x1conv=True, strides=2)", "image(4, 3, 6, 6)", d2l("resnet.md")),
    ("ResNet", "ResNet(((2, 64), (2, 128)))", "image(4, 1, 32, 32)", {**d2l("resnet.md"), "call": "model.net(*args)"}),
    ("NiN", "NiN()", "image(2, 1, 224, 224)", {**d2l("nin.md"), "call": "model.net(*args)"}),
    ("GoogLeNet inception", "Inception(8, (4, 6), (2, 4), 4)", "image(2, 3, 8, 8)", d2l("googlenet.md")),
    ("dense block", "DenseBlock(2, 5)", "image(4, 3, 8, 8)", d2l("densenet.md")),
]))
# A lazy module has no weights before its first call.
for entry in GROUPS[-1].entries:
    call = entry[3].get("call", "model(*args)").replace("model", "m").replace("*args", entry[2])
    entry[3]["setup"] += f"\ndef warm(m):\n    m.eval(); {call}; return m"
GROUPS[-1].entries = [(name, f"warm({build})", *rest) for name, build, *rest in GROUPS[-1].entries]
