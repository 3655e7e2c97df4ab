"""Recognisers of images and of clips."""

import copy
from typing import Any

import torch
from mmaction.models.recognizers import Recognizer2D, Recognizer3D
from mmaction.registry import MODELS as MMACTION_MODELS
from mmengine.registry import MODELS
from torch import Tensor

Maps = tuple[Tensor, ...] | Tensor


class OneMapForTheHead:
    """Passes a backbone's only map to the head as a tensor, which mmaction2's heads need, not as a tuple of one."""

    def extract_feat(self, *arguments: Any, **more: Any) -> tuple[Maps, dict]:
        """Maps of the inputs, or their only map, and arguments for the head."""
        maps, for_head = super().extract_feat(*arguments, **more)  # type: ignore[misc]
        return unwrap_only_map(maps), for_head


def unwrap_only_map(maps: Maps) -> Maps:
    """The map itself where there is only one, otherwise the maps."""
    return maps[0] if isinstance(maps, tuple) and len(maps) == 1 else maps


# Under mmaction2's own names, so that its configs can use Hiera like any of its backbones.
@MMACTION_MODELS.register_module(name='Recognizer2D', force=True)
class OneMapRecognizer2D(OneMapForTheHead, Recognizer2D):
    """mmaction2's ``Recognizer2D``."""


@MMACTION_MODELS.register_module(name='Recognizer3D', force=True)
class OneMapRecognizer3D(OneMapForTheHead, Recognizer3D):
    """mmaction2's ``Recognizer3D``."""


class BlendingWithHeadClasses:
    """Mixup and cutmix use the head's ``num_classes`` where ``data_preprocessor.blending`` sets none, so that the
    number is stated once.

    Args:
        backbone, cls_head, neck, train_cfg, test_cfg, data_preprocessor: As for mmaction2's recognisers.
    """

    def __init__(
        self,
        backbone: dict,
        cls_head: dict | None = None,
        neck: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        data_preprocessor = copy.deepcopy(data_preprocessor)
        blending = (data_preprocessor or {}).get('blending') or {}
        for augment in blending.get('augments', ()):
            if cls_head is not None and augment.get('num_classes') is None:
                augment['num_classes'] = cls_head['num_classes']
        parts: dict[str, Any] = dict(neck=neck, train_cfg=train_cfg, test_cfg=test_cfg)
        super().__init__(backbone, cls_head, data_preprocessor=data_preprocessor, **parts)  # type: ignore[call-arg]


@MODELS.register_module()
class ImageRecognizer(BlendingWithHeadClasses, OneMapForTheHead, Recognizer2D):
    """mmaction2's ``Recognizer2D`` for images, which are clips of one frame."""


@MODELS.register_module()
class ClipRecognizer(BlendingWithHeadClasses, OneMapForTheHead, Recognizer3D):
    """mmaction2's ``Recognizer3D``, with ``test_cfg=dict(max_testing_views=N)`` also for batches of several videos.

    mmaction2 refuses such batches (https://github.com/open-mmlab/mmaction2/issues/1136), so one config could not
    validate whole batches of single views and also test many views of a video. Here the backbone gets at most ``N``
    clips at once, or one per video of the batch if that is more.
    """

    def extract_feat(
        self,
        inputs: Tensor,
        stage: str = 'neck',
        data_samples: list | None = None,
        test_mode: bool = False,
    ) -> tuple[Maps, dict]:
        """Maps of ``B * views`` clips from clips ``(B, views, C, T, H, W)``, and arguments for the head."""
        limit = (self.test_cfg or {}).get('max_testing_views') if test_mode else None
        if limit is None:
            return super().extract_feat(inputs, stage, data_samples, test_mode)
        parts: list[Any] = [self._maps(clips) for clips in inputs.flatten(0, 1).split(max(limit, len(inputs)))]
        maps = torch.cat(parts) if isinstance(parts[0], Tensor) else tuple(map(torch.cat, zip(*parts, strict=True)))
        return unwrap_only_map(maps), dict(fcn_test=self.test_cfg.get('fcn_test', False))

    def _maps(self, clips: Tensor) -> Maps:
        maps = self.backbone(clips)
        return self.neck(maps)[0] if self.with_neck else maps
