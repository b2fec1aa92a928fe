"""Class centers as the head of a network."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import normalize


class NearestClassMean(nn.Module):
    """Logits from distances to class centers: (B, D) embeddings to (B, K), largest for the nearest.

    euclidean: scale * (x.c - |c|^2 / 2), which orders classes as -|x - c|^2 / 2 does and is linear in x, so that the
    layer can be trained further (Snell, Swersky and Zemel 2017, eq. 8). cosine: scale * x.c / (|x| |c|). cl2n: the
    euclidean logits of (x - origin) / |x - origin| to means of such vectors (Wang et al. 2019). Embeddings are
    converted to the type of the centers.
    """

    centers: Tensor
    origin: Tensor | None

    def __init__(
        self,
        centers_KD: NDArray[Any],
        distance: str = "euclidean",
        scale: float = 1.0,
        origin_D: NDArray[Any] | None = None,
    ) -> None:
        """`origin_D`: for cl2n only. Raises ValueError."""
        super().__init__()
        if distance not in ("euclidean", "cosine", "cl2n"):
            raise ValueError(f"distance must be euclidean, cosine or cl2n, got {distance!r}")
        if (origin_D is None) == (distance == "cl2n"):
            raise ValueError("cl2n needs an origin, and no other distance takes one")
        self.register_buffer("centers", torch.tensor(centers_KD, dtype=torch.float32))
        self.register_buffer("origin", None if origin_D is None else torch.tensor(origin_D, dtype=torch.float32))
        self.distance, self.scale = distance, scale

    def forward(self, embeddings_BD: Tensor) -> Tensor:
        embeddings_BD = embeddings_BD.to(self.centers.dtype)
        if self.distance == "cosine":
            return self.scale * normalize(embeddings_BD, dim=1) @ normalize(self.centers, dim=1).T
        if self.origin is not None:
            embeddings_BD = normalize(embeddings_BD - self.origin, dim=1)
        return self.scale * (embeddings_BD @ self.centers.T - self.centers.square().sum(1) / 2)

    def as_linear(self) -> nn.Linear:
        """The euclidean head as a linear layer with trainable weights: weight c, bias -|c|^2 / 2."""
        if self.distance != "euclidean":
            raise ValueError("only the euclidean head is linear in the embedding")
        classes, dim = self.centers.shape
        layer = nn.Linear(dim, classes)
        with torch.no_grad():
            layer.weight.copy_(self.scale * self.centers)
            layer.bias.copy_(-self.scale * self.centers.square().sum(1) / 2)
        return layer
