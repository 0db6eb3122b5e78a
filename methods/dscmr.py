"""DSCMR: two modalities share their last layers and a linear classifier, and pairs are pulled together."""

from dataclasses import dataclass

from torch import Tensor, nn

from bench import training as t


@dataclass(frozen=True, kw_only=True)
class DSCMRSettings(t.DeepSettings):
    """Settings of DSCMR; defaults are the released code's (Pascal Sentence)."""

    epochs: int = t.setting(500, "passes over the training rows", "release")
    batch_size: int = t.setting(100, "pairs per batch", "release")
    hidden: tuple[int, ...] = t.setting((2048,), "widths of the layers of each modality", "release")
    dim: int = t.setting(1024, "width of the shared linear layer", "release")
    lr: float = t.setting(1e-4, "learning rate", "release")
    alpha: float = t.setting(1e-3, "weight of the similarity term J2", "release")
    beta: float = t.setting(1e-1, "weight of the pair distance J3", "release")
    faithful_to: t.FaithfulTo = t.setting("paper", "release: unshuffled pairs, shared labels counted")


class DSCMR(t.DeepMethod):
    """Deep supervised cross-modal retrieval."""

    card = t.card("dscmr")
    Settings = DSCMRSettings
    settings: DSCMRSettings
    batches = t.AlignedPairs()
    variants = {"without_j2": {"alpha": 0.0}, "without_j3": {"beta": 0.0}}
    counted = False
    """Whether S_ij counts the shared labels, as in the release, instead of being 0 or 1."""

    def build(self, data: t.DeviceSplit) -> None:
        """Make the network; its parts are drawn one after the other."""
        widths = {name: data.dimension(name) for name in data}
        self.net = self.module("net", lambda: Network(widths, data.n_classes, self.settings))

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return the output of the shared linear layer."""
        embedding: Tensor = self.net(modality, x)
        return embedding

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Return ``J1 + alpha J2 + beta J3`` and its parts.

        ``J1 = mean ||p1 - y|| + mean ||p2 - y||``, ``J2 = sum over (1,1), (1,2), (2,2) of NLL(cos / 2, S)``,
        ``J3 = mean ||z1 - z2||``.
        """
        s, (z1, z2), (y, _) = self.settings, z.values(), batch.targets.values()
        p1, p2 = self.net.classifier(z1), self.net.classifier(z2)
        j1 = t.distance(p1, y) + t.distance(p2, y)
        j2 = t.similarity_nll((z1, z2), (y, y), counted=self.counted)
        j3 = t.distance(z1, z2)
        return {"loss": j1 + s.alpha * j2 + s.beta * j3, "J1": j1, "J2": j2, "J3": j3}


class Network(nn.Module):
    """Layers of each modality, one linear layer and one linear classifier that both share."""

    def __init__(self, widths: dict[str, int], n_classes: int, settings: DSCMRSettings) -> None:
        super().__init__()
        # Numbered, because a module's name may not hold every character that a modality's may.
        self._index = {name: index for index, name in enumerate(widths)}
        self.own = nn.ModuleList(
            t.mlp((width, *settings.hidden), activate_last=True) for width in widths.values()
        )
        self.shared = nn.Linear(settings.hidden[-1], settings.dim)
        self.classifier = nn.Linear(settings.dim, n_classes)

    def forward(self, modality: str, x: Tensor) -> Tensor:
        """Return embeddings ``(n, d)``."""
        embedding: Tensor = self.shared(self.own[self._index[modality]](x))
        return embedding
