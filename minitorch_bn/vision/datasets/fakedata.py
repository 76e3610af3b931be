"""Random images with random labels, the same for the same index: data for trying things out."""

from __future__ import annotations

from typing import Any

import minitorch_bn as torch

from .._pillow import image_of
from .vision import Transform, VisionDataset


class FakeData(VisionDataset):
    """`size` images of `image_size` (C, H, W), noise; the number of an image, plus `random_offset`, seeds it."""

    def __init__(self, size: int = 1000, image_size: tuple[int, int, int] = (3, 224, 224), num_classes: int = 10,
                 transform: Transform | None = None, target_transform: Transform | None = None,
                 random_offset: int = 0) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        with torch.random.fork_rng():
            torch.manual_seed(index + self.random_offset)
            noise = torch.randn(*self.image_size)
            target = int(torch.randint(0, self.num_classes, size=(1,), dtype=torch.long)[0])
        # whole multiples of 1/255 wrap around at 256, as in a conversion to bytes
        pixels = noise.mul(255).to(torch.int64).bitwise_and(255).to(torch.uint8).permute(1, 2, 0).contiguous()
        return self._transformed(image_of(pixels.squeeze(2).numpy() if pixels.size(2) == 1 else pixels.numpy()), target)

    def __len__(self) -> int:
        return self.size
