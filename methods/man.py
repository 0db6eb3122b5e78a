"""MAN: networks separate classes by a Fisher criterion, against a classifier of modalities."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import training as t


@dataclass(frozen=True, kw_only=True)
class MANSettings(t.DeepSettings):
    """Settings of MAN; defaults are the released code's for Pascal Sentence."""

    epochs: int = t.setting(200, "passes over the training rows", "release")
    batch_size: int = t.setting(100, "rows of each modality per batch, roughly", "release")
    hidden: tuple[int, ...] = t.setting((1024, 1024), "of a generator; its output has C entries", "release")
    critic_hidden: tuple[int, ...] = t.setting((128,), "of the classifier of modalities", "release")
    lr: float = t.setting(2e-4, "learning rate of generators and classifier", "release")
    eta: float = t.setting(1e-3, "added to the diagonal of the within-class scatter", "release")
    fisher_beta: float = t.setting(1.0, "weight of the Fisher loss", "release")
    faithful_to: t.FaithfulTo = t.setting("paper", "release: batches regardless of classes, all eigenvalues")


class MAN(t.DeepMethod):
    """Multimodal adversarial network."""

    card = t.card("man")
    Settings = MANSettings
    settings: MANSettings
    batches = t.ClassCovering()
    variants = {"without_fisher": {"fisher_beta": 0.0}}
    strict = True
    """Whether eigenvalues within rounding of 0 are left out of the Fisher loss."""

    def build(self, data: t.DeviceSplit) -> None:
        """Make the generators and the classifier of modalities D."""
        widths, count = (data.n_classes, *self.settings.critic_hidden), len(data.features)
        self.encoders = self.mlps(data, data.n_classes, "generator/")
        self.critic = self.module("critic", lambda: man_critic(widths, count))

    def steps(self, track: str, modules: Sequence[nn.Module]) -> Sequence[t.Step]:
        """Teach the classifier of modalities first, then the generators."""
        critic = self.step(track, [self.critic], self.critic_loss, name="critic")
        return [critic, self.step(track, list(self.encoders.values()))]

    def critic_loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> Tensor:
        """Tell modalities apart by embeddings that get no gradient."""
        return critic_loss([self.critic(rows.detach()) for rows in z.values()])

    def loss(self, z: t.Views, batch: t.Batch, clock: t.Clock) -> t.Loss:
        """Mislead the classifier of modalities, and lay the classes of all modalities apart."""
        s, y = self.settings, torch.cat(list(batch.targets.values()))
        adversarial = generator_loss([self.critic(rows) for rows in z.values()])
        fisher = fisher_loss(torch.cat(list(z.values())), y, s.eta, self.strict)
        return {"loss": adversarial + s.fisher_beta * fisher, "adversarial": adversarial, "fisher": fisher}


def man_critic(widths: tuple[int, ...], modalities: int) -> nn.Sequential:
    """Return D, the classifier of modalities: a perceptron whose outputs are probabilities."""
    return nn.Sequential(*t.mlp((*widths, modalities)), nn.Softmax(dim=1))


def critic_loss(outputs: Sequence[Tensor]) -> Tensor:
    """Return ``sum_v mean ||D(z_v) - e_v||^2 / 2`` for the outputs ``D(z_v)`` of the modalities v."""
    e = torch.eye(len(outputs), device=outputs[0].device)
    return torch.stack([half_square(rows, e[v]) for v, rows in enumerate(outputs)]).sum()


def generator_loss(outputs: Sequence[Tensor]) -> Tensor:
    """Return ``sum_v mean ||D(z_v) - u_v||^2 / 2``, where u_v is uniform over the other modalities."""
    u = (1 - torch.eye(len(outputs), device=outputs[0].device)) / (len(outputs) - 1)
    return torch.stack([half_square(rows, u[v]) for v, rows in enumerate(outputs)]).sum()


def half_square(rows: Tensor, target: Tensor) -> Tensor:
    """Return the mean over rows of half the squared distance to the target ``(V,)``."""
    return (rows - target).square().sum(dim=1).mean() / 2


def fisher_loss(z: Tensor, y: Tensor, eta: float, strict: bool = True) -> Tensor:
    """Return ``-mean log lambda`` over the leading eigenvalues of ``S_b v = lambda S_w v``.

    They are found in float64 where S_w is singular in the precision of the embeddings.

    Args:
        z: ``(n, C)`` embeddings of all modalities.
        y: ``(n, C)`` one-hot.
        eta: see `scatters`.
        strict: count one eigenvalue less than the batch has classes, and only those above rounding;
            otherwise C - 1, if they are positive.
    """
    s_b, s_w = scatters(z, y, eta)
    if torch.linalg.cholesky_ex(s_w).info != 0:  # its rounding exceeds eta
        s_b, s_w = scatters(z.double(), y.double(), eta)
    values: Tensor = torch.linalg.eigvalsh(t.whitened(s_b, s_w))
    classes = int(y.any(dim=0).sum()) if strict else y.shape[1]
    leading = values[len(values) - min(classes - 1, len(values)) :]
    floor = len(values) * torch.finfo(values.dtype).eps * float(values[-1].detach()) if strict else 0.0
    leading = leading[leading > max(floor, 0.0)]
    # One class, or all embeddings equal: nothing to learn.
    loss = -leading.log().mean() if len(leading) else 0.0 * values.sum()
    return loss.to(z.dtype)


def scatters(z: Tensor, y: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Return S_b and S_w, the scatters between and within classes.

    ``S_w = sum_c sum_(i in c) (z_i - m_c)(z_i - m_c)^T + eta I``,
    ``S_b = sum_c n_c t_c t_c^T`` with ``t_c = sign(m - m_c) log(1 + |m - m_c|)`` entry by entry.
    """
    counts = y.sum(dim=0)
    means = (y.T @ z) / counts.clamp_min(1)[:, None]
    gap = z.mean(dim=0) - means
    scaled = gap.sign() * gap.abs().log1p() * counts.sqrt()[:, None]
    inner = z - y @ means
    return scaled.T @ scaled, inner.T @ inner + eta * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
