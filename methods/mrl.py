"""MRL: robust clustering around learned centres, and contrast of instances over modalities."""

from dataclasses import dataclass

import torch

from bench import training as t


@dataclass(frozen=True, kw_only=True)
class MRLSettings(t.DeepSettings):
    """Settings of MRL; defaults are the released code's unless marked."""

    epochs: int = t.setting(100, "passes over the training rows", "paper and release")
    batch_size: int = t.setting(100, "pairs per batch", "release; the paper's differ between datasets")
    hidden: tuple[int, ...] = t.setting((4096, 4096), "widths of the hidden layers", "release")
    dim: int = t.setting(512, "width of the embedding; at least the number of classes", "release")
    lr: float = t.setting(1e-4, "learning rate in the first epoch", "release")
    beta: float = t.setting(0.5, "weight of the robust clustering against the contrast", "release")
    tau: float = t.setting(1.0, "temperature of both terms", "release")


class MRL(t.DeepMethod):
    """Multimodal robust learning."""

    card = t.card("mrl")
    Settings = MRLSettings
    settings: MRLSettings
    batches = t.AlignedPairs()
    unit_length = True
    variants = {"without_clustering": {"beta": 0.0}, "without_contrast": {"beta": 1.0}}

    def build(self, data: t.DeviceSplit) -> None:
        """Make the networks and the centres C of the classes."""
        self.encoders = self.mlps(data)
        self.centres = self.prototypes(data, "centres")

    def schedule(self, clock: t.Clock) -> float:
        """Return half a cosine over all epochs."""
        return t.cosine_decay(clock.epochs)(clock)

    def before(self, batch: t.Batch, clock: t.Clock) -> None:
        """Bring the centres back to length 1."""
        self.centres.renormalise()

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Return ``beta sum_v RC_v + (1 - beta) MC`` and its parts.

        ``RC_v`` is the robust clustering of modality v under ``softmax(z C / tau)``, ``MC`` the contrast of
        instances over all modalities.
        """
        s, c, y = self.settings, self.centres.weight, batch.targets
        rc = torch.stack([t.robust_clustering(z[v] @ c / s.tau, y[v]) for v in z]).sum()
        mc = t.multimodal_contrast(list(z.values()), s.tau)
        return {"loss": s.beta * rc + (1 - s.beta) * mc, "RC": rc, "MC": mc}
