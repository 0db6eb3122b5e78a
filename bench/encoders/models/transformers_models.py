"""Models of the library `transformers`, from a local folder or by their name on its hub."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from bench.contract import DataError, UsageError
from bench.encoders.contract import Encoder, EncoderCard, Features, Item, Kind, Sound, required

if TYPE_CHECKING:
    from PIL.Image import Image

_POOLINGS: Final = ("auto", "projected", "pooler", "first", "mean")


@dataclass(frozen=True)
class TransformersSettings:
    """Which model, and how its token vectors become one.

    Attributes:
        model: folder with the model's files, or its name on the hub.
        pooling: ``projected`` (into the space that CLIP-like models share), ``pooler`` (of the model),
            ``first`` or ``mean`` of the token vectors; ``auto`` takes the first of these that the model
            has, and for texts and sounds the mean rather than the pooler.
        revision: of a model on the hub.
    """

    model: str = ""
    pooling: str = "auto"
    revision: str = "main"


def _card(kind: Kind, models: str) -> EncoderCard:
    """Return the card of a kind of models."""
    return EncoderCard(
        name="transformers",
        kind=kind,
        title=f"A model of the library transformers for {kind}s, such as {models}",
        weights="as named by the setting `model`",
        licence="that of the model",
        preprocessing="as the model's own configuration says",
    )


class _Pretrained(Encoder[Item]):
    """Loads a model without executing code that comes with it."""

    Settings = TransformersSettings
    _processor: ClassVar[str]

    def __init__(self, settings: Any = None, device: str = "cpu") -> None:
        super().__init__(settings, device)
        name = self.settings.model
        if not name or self.settings.pooling not in _POOLINGS:
            raise UsageError(
                "transformers: name a folder or a model, such as transformers:openai/clip-vit-base-patch32; "
                f"pooling must be one of {', '.join(_POOLINGS)}"
            )
        library = required("transformers", "transformers")
        options = {"trust_remote_code": False, "revision": self.settings.revision}
        try:
            self.processor = getattr(library, self._processor).from_pretrained(name, **options)
            self._model = library.AutoModel.from_pretrained(name, **options).eval().to(device)
        except (OSError, ValueError, ImportError, KeyError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise DataError(f"transformers: {name} cannot be loaded: {reason}") from error

    def checksum(self) -> str:
        """Return the SHA-256 of all files of a local model, or the commit of one from the hub."""
        folder = Path(self.settings.model)
        if not folder.is_dir():
            return f"commit {getattr(self._model.config, '_commit_hash', None)}"
        digest = hashlib.sha256()
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(folder).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def _features(self, inputs: Any, projection: str) -> Features:
        """Return one vector for each item of a batch of model inputs."""
        import torch

        arguments = {name: value.to(self.device) for name, value in inputs.items()}
        pooling = self.settings.pooling
        with torch.inference_mode():
            if pooling == "projected" or (pooling == "auto" and hasattr(self._model, projection)):
                if not hasattr(self._model, projection):
                    raise UsageError(f"transformers: {self.settings.model} projects no {self.card.kind}s")
                features = getattr(self._model, projection)(**arguments)
                features = getattr(features, "pooler_output", features)  # a tensor before release 5
            else:
                features = self._pooled(self._model(**arguments), arguments.get("attention_mask"))
        return np.asarray(features.float().cpu().numpy(), dtype=np.float32)

    def _pooled(self, output: Any, mask: Any) -> Any:
        """Return one vector for each item from those of its tokens, ``(n, d)``."""
        import torch

        vectors, pooler = output.last_hidden_state, getattr(output, "pooler_output", None)
        pooling = self._stated_pooling() if self.settings.pooling == "auto" else self.settings.pooling
        if pooling == "pooler" and pooler is not None:
            return pooler
        if pooling in ("first", "pooler"):
            return vectors[:, 0]
        if mask is None or mask.shape[1] != vectors.shape[1]:  # sounds: the model shortens the time axis
            return vectors.mean(1)
        weight = mask[:, :, None].to(vectors.dtype)
        return (vectors * weight).sum(1) / torch.clamp(weight.sum(1), min=1)

    def _stated_pooling(self) -> str:
        """Return the pooling that the folder of a sentence encoder states, else the usual one of the kind."""
        stated = Path(self.settings.model) / "1_Pooling" / "config.json"
        if stated.is_file() and json.loads(stated.read_bytes()).get("pooling_mode_cls_token"):
            return "first"
        return "pooler" if self.card.kind == "image" else "mean"


class TransformersImage(_Pretrained["Image"]):
    """Pictures: CLIP, SigLIP, DINOv2, ViT."""

    card = _card("image", "CLIP, SigLIP, DINOv2")
    _processor = "AutoImageProcessor"

    def encode(self, batch: Sequence[Image]) -> Features:
        """Return the features of RGB pictures."""
        return self._features(self.processor(images=list(batch), return_tensors="pt"), "get_image_features")


class TransformersText(_Pretrained[str]):
    """Texts: CLIP, SigLIP, sentence encoders, BERT."""

    card = _card("text", "CLIP, SigLIP, sentence encoders")
    _processor = "AutoTokenizer"

    def encode(self, batch: Sequence[str]) -> Features:
        """Return the features of texts; what a model cannot take in is cut off."""
        config = self._model.config
        longest = getattr(getattr(config, "text_config", config), "max_position_embeddings", 512)
        # SigLIP was trained on texts of full length; its tokenizer gives no mask.
        is_masked = "attention_mask" in self.processor.model_input_names
        inputs = self.processor(
            list(batch),
            padding=True if is_masked else "max_length",
            truncation=True,
            max_length=min(longest, self.processor.model_max_length),
            return_tensors="pt",
        )
        return self._features(inputs, "get_text_features")


class TransformersAudio(_Pretrained[Sound]):
    """Sounds: wav2vec2, HuBERT, Whisper's relatives that encode only."""

    card = _card("audio", "wav2vec2, HuBERT")
    _processor = "AutoFeatureExtractor"

    def encode(self, batch: Sequence[Sound]) -> Features:
        """Return the features of sounds, resampled to the model's rate, each encoded by itself."""
        from scipy.signal import resample_poly

        rate = int(self.processor.sampling_rate)
        rows = []
        for sound in batch:  # padding would change the features of models without a mask
            divisor = int(np.gcd(sound.rate, rate))
            samples = resample_poly(sound.samples, rate // divisor, sound.rate // divisor)
            inputs = self.processor(samples, sampling_rate=rate, return_tensors="pt")
            rows.append(self._features(inputs, "get_audio_features"))
        return np.concatenate(rows)
