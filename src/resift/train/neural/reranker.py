"""Rerankers in training: the base says whether it is a cross-encoder or a decoder."""

from __future__ import annotations

from resift.errors import InputError
from resift.train.neural.base_model import torch_folder
from resift.train.neural.cross_encoder import CrossEncoders
from resift.train.neural.decoder import is_decoder, open_decoder
from resift.train.neural.plan import Plan
from resift.train.neural.trainable import BaseModel


class Rerankers(CrossEncoders):
    """See `Trainable`."""

    def open(self, plan: Plan, precision: str) -> BaseModel:
        """See `open_base` and `open_decoder`.

        Raises:
            InputError: heads at inner layers are asked of a decoder.

        """
        settings = plan.settings
        folder = torch_folder(settings.base)
        if not is_decoder(folder):
            return super().open(plan, precision)
        if settings.heads:
            raise InputError(
                f"{folder} is a decoder, and heads at inner layers are those of encoders; leave --heads out"
            )
        return open_decoder(folder, plan.outputs, settings.max_tokens, precision, settings.lora)


TRAINABLE = Rerankers()
