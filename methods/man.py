"""MAN: generators lay classes apart by a Fisher criterion, and fool a classifier of modalities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.contract import Context, MethodCard
from bench.training import (
    AlignedPairs,
    Batch,
    ClassCovering,
    Clock,
    DeepMethod,
    DeepSettings,
    DeviceSplit,
    FaithfulTo,
    Independent,
    Plan,
    Stage,
    Step,
    Track,
    adam,
    built,
    mlp,
    perceptrons,
    whitened,
)


@dataclass(frozen=True, kw_only=True)
class MANSettings(DeepSettings):
    """Settings of MAN; every default is the released code's for Pascal Sentence.

    Attributes:
        epochs: 200.
        batch_size: 100.
        hidden: two layers of 1024 in each generator; the embedding is as wide as there are classes.
        critic_hidden: of the classifier of modalities, one layer of 128.
        lr: of generators and classifier, 2e-4.
        eta: added to the diagonal of the within-class scatter, 1e-3.
        fisher_beta: weight of the Fisher loss, 1.
        faithful_to: ``release`` draws batches regardless of classes, and counts every positive eigenvalue
            among the C - 1 largest.
    """

    epochs: int = 200
    batch_size: int = 100
    hidden: tuple[int, ...] = (1024, 1024)
    critic_hidden: tuple[int, ...] = (128,)
    lr: float = 2e-4
    eta: float = 1e-3
    fisher_beta: float = 1.0
    faithful_to: FaithfulTo = "paper"


class MAN(DeepMethod):
    """Multimodal adversarial network."""

    card = MethodCard(
        name="man",
        title="MAN",
        authors="Hu, Peng, Wang, Xiang",
        year=2019,
        venue="Knowledge-Based Systems",
        family="deep supervised joint, adversarial",
        role="baseline",
        pairs="unused",
        any_modalities=True,
        multi_label=False,
        selects_by="map",
        from_paper=("Every batch holds every class, so it may be larger than asked for.",),
        from_release=(
            "Batches hold all classes, and eigenvalues within rounding of nought are left out; in the "
            "release, where a batch misses classes, they pass for positive and rule the loss.",
            "A single row left over joins the batch before it, also with `faithful_to: release`: alone it "
            "has no scatter, and the step that follows from its rounding derails adversary and generators.",
            "An epoch visits every row of the largest modality; the release ends with the smallest.",
            "Modalities are shuffled apart; the release shuffles those of equal size together.",
            "The epoch is chosen on validation mAP; the release validates on test data for XMedia.",
            "Texts given as word indices, and the convolutional network for them, are not supported.",
        ),
        parity="losses, gradients, scatter matrices, classifier of modalities: released code",
        citation="hu2019man",
        code="https://github.com/penghu-cs/MAN",
        position=7,
    )
    Settings = MANSettings
    settings: MANSettings
    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"without_fisher": {"fisher_beta": 0.0}}

    def stages(self, train: DeviceSplit, context: Context) -> Iterator[Stage]:
        """One stage; on every batch the classifier of modalities learns first, then the generators."""
        own = self.settings
        self.generators = perceptrons(train, own.hidden, train.n_classes, context, "generator/")
        generators = nn.ModuleList(self.generators.values())
        critic = built(
            lambda: man_critic(train.n_classes, own.critic_hidden, len(self.generators)), context, "critic"
        )

        def critic_step(batch: Batch, _: Clock) -> Tensor:
            """Tell modalities apart by embeddings that get no gradient."""
            with torch.no_grad():
                z = [self.encode(name, x) for name, x in batch.features.items()]
            return critic_loss([critic(rows) for rows in z])

        def generator_step(batch: Batch, _: Clock) -> dict[str, Tensor]:
            """Mislead the classifier of modalities, and lay the classes of all modalities apart."""
            z = [self.encode(name, x) for name, x in batch.features.items()]
            adversarial = generator_loss([critic(rows) for rows in z])
            y = torch.cat([batch.targets[name] for name in batch.features])
            fisher = fisher_loss(torch.cat(z), y, own.eta, strict=own.faithful_to == "paper")
            total = adversarial + own.fisher_beta * fisher
            return {"loss": total, "adversarial": adversarial, "fisher": fisher}

        steps = [
            Step(critic_step, adam(critic.parameters(), own.lr), name="critic"),
            Step(generator_step, adam(generators.parameters(), own.lr)),
        ]
        track = Track("joint", [generators, critic], steps, self.plan(train))
        yield Stage([track], own.epochs, patience=own.patience)

    def encode(self, modality: str, x: Tensor) -> Tensor:
        """Return the generator's output ``(n, C)``, of any length."""
        embedding: Tensor = self.generators[modality](x)
        return embedding

    def plan(self, train: DeviceSplit) -> Plan:
        """Return how rows are put into batches."""
        own = self.settings
        if own.faithful_to == "paper":
            return ClassCovering(own.batch_size)
        if len({len(rows) for rows in train.features.values()}) == 1:
            return AlignedPairs(own.batch_size, minimum=2)
        return Independent(own.batch_size, minimum=2, length="shortest")


def man_critic(width: int, hidden: tuple[int, ...], modalities: int) -> nn.Sequential:
    """Return D, the classifier of modalities: a perceptron whose outputs are probabilities."""
    return nn.Sequential(*mlp((width, *hidden, modalities)), nn.Softmax(dim=1))


def critic_loss(outputs: Sequence[Tensor]) -> Tensor:
    """Return ``sum_v mean ||D(z_v) - e_v||^2 / 2`` for the outputs ``D(z_v)`` of the modalities v."""
    own = torch.eye(len(outputs), device=outputs[0].device)
    return torch.stack([half_square(rows, own[v]) for v, rows in enumerate(outputs)]).sum()


def generator_loss(outputs: Sequence[Tensor]) -> Tensor:
    """Return ``sum_v mean ||D(z_v) - u_v||^2 / 2``, where u_v is uniform over the other modalities."""
    others = (1 - torch.eye(len(outputs), device=outputs[0].device)) / (len(outputs) - 1)
    return torch.stack([half_square(rows, others[v]) for v, rows in enumerate(outputs)]).sum()


def half_square(rows: Tensor, target: Tensor) -> Tensor:
    """Return the mean over rows of half the squared distance to the target ``(V,)``."""
    return (rows - target).square().sum(dim=1).mean() / 2


def fisher_loss(z: Tensor, y: Tensor, eta: float, strict: bool = True) -> Tensor:
    """Return ``-mean log lambda`` over the leading eigenvalues of ``S_b v = lambda S_w v``.

    Args:
        z: ``(n, C)`` embeddings of all modalities.
        y: ``(n, C)`` one-hot.
        eta: see `scatters`.
        strict: count one eigenvalue less than the batch has classes, and only those above rounding;
            otherwise C - 1, if they are positive.
    """
    s_b, s_w = scatters(z, y, eta)
    values: Tensor = torch.linalg.eigvalsh(whitened(s_b, s_w))
    classes = int(y.any(dim=0).sum()) if strict else y.shape[1]
    leading = values[len(values) - min(classes - 1, len(values)) :]
    floor = len(values) * torch.finfo(values.dtype).eps * float(values[-1].detach()) if strict else 0.0
    leading = leading[leading > max(floor, 0.0)]
    # Where nothing can be told apart there is nothing to learn: one class, or all embeddings equal.
    return -leading.log().mean() if len(leading) else 0.0 * values.sum()


def scatters(z: Tensor, y: Tensor, eta: float) -> tuple[Tensor, Tensor]:
    """Return S_b and S_w, the scatters between and within classes.

    ``S_w = sum_c sum_(i in c) (z_i - m_c)(z_i - m_c)^T + eta I``,
    ``S_b = sum_c n_c t_c t_c^T`` with ``t_c = sign(m - m_c) log(1 + |m - m_c|)`` entry by entry.
    """
    counts = y.sum(dim=0)
    means = (y.T @ z) / counts.clamp_min(1)[:, None]
    gap = z.mean(dim=0) - means
    t = gap.sign() * gap.abs().log1p() * counts.sqrt()[:, None]
    inner = z - y @ means
    return t.T @ t, inner.T @ inner + eta * torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
