"""The recogniser of clips, which tests batches of videos of several views each within bounded memory."""

from typing import Any

import torch
from mmaction.models.recognizers import Recognizer3D
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ClipRecognizer(Recognizer3D):
    """mmaction2's ``Recognizer3D``, with ``test_cfg=dict(max_testing_views=N)`` also for batches of several videos.

    mmaction2 refuses such batches (https://github.com/open-mmlab/mmaction2/issues/1136), so that one config can't
    validate whole batches of single views and test many views of one video. Here ``N`` bounds how many clips the
    backbone gets at once; it always gets as many as there are videos in the batch, which the data loader's
    ``batch_size`` bounds.
    """

    def extract_feat(
        self,
        inputs: Tensor,
        stage: str = 'neck',
        data_samples: list | None = None,
        test_mode: bool = False,
    ) -> tuple[tuple[Tensor, ...] | Tensor, dict]:
        """Clips ``(B, views, C, T, H, W)`` to maps of ``B * views`` clips, and arguments for the head."""
        limit = (self.test_cfg or {}).get('max_testing_views') if test_mode else None
        if limit is None:
            return super().extract_feat(inputs, stage, data_samples, test_mode)
        parts: list[Any] = [self._maps(clips) for clips in inputs.flatten(0, 1).split(max(limit, len(inputs)))]
        maps = torch.cat(parts) if isinstance(parts[0], Tensor) else tuple(map(torch.cat, zip(*parts, strict=True)))
        return maps, dict(fcn_test=self.test_cfg.get('fcn_test', False))

    def _maps(self, clips: Tensor) -> tuple[Tensor, ...] | Tensor:
        maps = self.backbone(clips)
        return self.neck(maps)[0] if self.with_neck else maps
