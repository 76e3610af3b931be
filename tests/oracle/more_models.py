"""More models in foreign sources: segmentation, autoencoders, diffusion, transformers, graph attention."""
from __future__ import annotations

from .source_models import Group

VAE = "image(2, 3, 64, 64)"
VAES = [(name, f"m.{name}(in_channels=3, {args})", VAE, {"call": "model(*args)[:4]"}) for name, args in (
    ("VanillaVAE", "latent_dim=8"), ("BetaVAE", "latent_dim=8"),
    ("DIPVAE", "latent_dim=8"), ("InfoVAE", "latent_dim=8"), ("WAE_MMD", "latent_dim=8"),
    ("LogCoshVAE", "latent_dim=8"), ("SWAE", "latent_dim=8"), ("MIWAE", "latent_dim=8"),
    ("BetaTCVAE", "latent_dim=8"), ("MSSIMVAE", "latent_dim=8"), ("VQVAE", "embedding_dim=8, num_embeddings=16"),
    ("FactorVAE", "latent_dim=8"), ("VampVAE", "latent_dim=8"), ("HVAE", "latent1_dim=8, latent2_dim=8"))]
DIFFUSION = ["ema_pytorch", "accelerate", "pytorch_fid", "pytorch_fid.inception", "pytorch_fid.fid_score"]

GROUPS = [
    Group("Pytorch-UNet", "Pytorch-UNet", "from unet import UNet", [
        ("transposed", "UNet(3, 2)", "image(1, 3, 64, 64)"), ("bilinear", "UNet(3, 2, bilinear=True)",
                                                            "image(1, 3, 64, 64)")]),
    Group("PyTorch-VAE", "PyTorch-VAE", "torch.randn_like = torch.zeros_like\nimport models as m", VAES,
          stubs=["pytorch_lightning"]),
    Group("llama2.c", "llama2.c", "from model import ModelArgs, Transformer\nargs_ = dict(dim=32, n_layers=2, "
          "n_heads=4, vocab_size=40, multiple_of=8, max_seq_len=16)", [
        ("Transformer", "Transformer(ModelArgs(**args_))", "tokens(40, 2, 9), tokens(40, 2, 9)"),
        ("grouped queries", "Transformer(ModelArgs(**args_, n_kv_heads=2))", "tokens(40, 2, 9), tokens(40, 2, 9)"),
        ("last token", "Transformer(ModelArgs(**args_))", "tokens(40, 1, 5)")]),
    Group("transformer", "transformer", "from models.model.transformer import Transformer", [
        ("Transformer", "Transformer(1, 1, 2, 30, 31, 16, 4, 20, 32, 2, 0.0, 'cpu')",
         "tokens(30, 2, 7), tokens(31, 2, 6)")]),
    Group("attention-is-all-you-need", "attention-is-all-you-need-pytorch",
          "from transformer.Models import Transformer", [
        ("Transformer", "Transformer(30, 30, 1, 1, d_word_vec=16, d_model=16, d_inner=24, n_layers=2, n_head=2, d_k=8, "
         "d_v=8, dropout=0.0)", "tokens(30, 2, 7), tokens(30, 2, 6)")]),
    Group("TCN", "TCN", "from TCN.tcn import TemporalConvNet", [
        ("TemporalConvNet", "TemporalConvNet(4, [8, 8, 8], 3, 0.0)", "image(2, 4, 20)")]),
    Group("pytorch_resnet_cifar10", "pytorch_resnet_cifar10", "import resnet", [
        (name, f"resnet.{name}()", "image(4, 3, 32, 32)") for name in ("resnet20", "resnet32", "resnet44")]),
    Group("pyGAT", "pyGAT", "from models import GAT", [
        ("GAT", "GAT(6, 4, 3, 0.0, 0.2, 2)", "image(7, 6), (unit(7, 7) > 0.5).float()")]),
    Group("denoising-diffusion", "denoising-diffusion-pytorch",
          "import sys\nsys.path.insert(1, str(Path(source).parent / 'einops'))\n"
          "import denoising_diffusion_pytorch.denoising_diffusion_pytorch as m\n"
          "import denoising_diffusion_pytorch.denoising_diffusion_pytorch_1d as m1", [
        ("Unet", "m.Unet(16, dim_mults=(1, 2), flash_attn=False)", "image(2, 3, 16, 16), unit(2)"),
        ("GaussianDiffusion", "m.GaussianDiffusion(m.Unet(16, dim_mults=(1, 2), flash_attn=False), image_size=16, "
         "timesteps=10)", "image(2, 3, 16, 16), tokens(10, 2)",
         {"call": "model.p_losses(args[0], args[1], noise=torch.ones_like(args[0]))"}),
        ("Unet1D", "m1.Unet1D(16, dim_mults=(1, 2), channels=3)", "image(2, 3, 16), unit(2)")], stubs=DIFFUSION),
    Group("CLIP", "CLIP", "import importlib.util\nspec = importlib.util.spec_from_file_location('clip_model', "
          "str(Path(source) / 'clip' / 'model.py'))\nm = importlib.util.module_from_spec(spec)\n"
          "spec.loader.exec_module(m)", [
        (name, f"m.CLIP(16, 64, {vision}, 7, 50, 16, 2, 2)", "image(2, 3, 64, 64), tokens(50, 2, 7)")
        for name, vision in (("ViT", "2, 64, 16"), ("ResNet", "(1, 1, 1, 1), 8, None"))]),
]
