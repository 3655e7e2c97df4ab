"""SAM 2 (arXiv 2408.00714) with this suite's Hiera as its trunk: masks of what boxes show."""

from hiera_mm.errors import UserError, first_few, require_extra
from hiera_mm.inference.load_backbone import backbone
from hiera_mm.program import command_line
from hiera_mm.weights.files import read_checkpoint
from hiera_mm.weights.formats import architecture_of, to_our_names, unwrap
from hiera_mm.weights.origin import Origin, origins_of

import numpy as np
import torch

FILES = dict(t='t', s='s', bp='b+', l='l')
"""Sizes in the names of the package's configs."""

MARK_OF_2_1 = 'no_obj_embed_spatial'
"""A weight that SAM 2.1 has and SAM 2 does not."""

BOXES_AT_ONCE = 32
"""Boxes whose masks are computed together; each has a map of the whole image."""


class SegmentAnything:
    """The package's predictor of images, whose trunk is a :class:`~hiera_mm.models.Hiera` with the same weights.

    Args:
        weights: SAM 2's or SAM 2.1's, by name (``hiera-mm weights list``), path or URL.
        device: Such as ``'cuda:0'``; by default a GPU if there is one.

    Attributes:
        source: The weights.
        origins: Their origin and licence.

    Raises:
        UserError: without the package sam2, and for weights that are not a whole SAM 2.
    """

    def __init__(self, weights: str, device: str | None = None) -> None:
        require_extra('sam2', 'sam2')
        from sam2.build_sam import build_sam2
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        self.source = weights
        checkpoint = read_checkpoint(weights)
        self.origins: list[Origin] = origins_of(weights, checkpoint)
        found = architecture_of(to_our_names(checkpoint, weights).tensors)
        size = FILES.get(str(found and found.arch))
        state, _ = unwrap(checkpoint, weights)
        if size is None:
            raise UserError(
                f"'{weights}' holds no SAM 2 of a published size; {command_line('weights')} list names them."
            )
        version = '2.1' if MARK_OF_2_1 in state else '2'
        model = build_sam2(f'configs/sam{version}/sam{version}_hiera_{size}.yaml', device='cpu')
        differing = model.load_state_dict(state, strict=False)
        if differing.missing_keys or differing.unexpected_keys:
            raise UserError(
                f"'{weights}' is not a whole SAM {version}: {len(differing.missing_keys)} weights are missing "
                f'({first_few(differing.missing_keys)}) and {len(differing.unexpected_keys)} are unknown '
                f'({first_few(differing.unexpected_keys)}); take a published file, or one trained with the package.'
            )
        model.image_encoder.trunk = backbone(weights)
        device = device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
        self.predictor = SAM2ImagePredictor(model.to(device).eval())

    def masks(self, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The masks of boxes, and the overlap (IoU) with the truth that the model expects of each.

        Args:
            image: RGB ``(H, W, 3)``, unsigned bytes.
            boxes: ``(N, 4)``, x1, y1, x2, y2 in pixels.

        Returns:
            ``(N, H, W)`` of booleans, and ``(N,)``.
        """
        if not len(boxes):
            return np.zeros((0, *image.shape[:2]), bool), np.zeros(0, np.float32)
        self.predictor.set_image(np.ascontiguousarray(image))
        parts = []
        for start in range(0, len(boxes), BOXES_AT_ONCE):
            some = boxes[start : start + BOXES_AT_ONCE]
            masks, scores, _ = self.predictor.predict(box=some, multimask_output=False)
            # Of a single box it has no axis of boxes.
            parts.append((masks.reshape(len(some), *image.shape[:2]) > 0, scores.reshape(len(some))))
        return np.concatenate([masks for masks, _ in parts]), np.concatenate([scores for _, scores in parts])
