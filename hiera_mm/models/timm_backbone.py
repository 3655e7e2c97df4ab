"""Backbones of timm, for what this suite's models learn from."""

from typing import Any

from hiera_mm.errors import UserError, first_line, require_extra
from hiera_mm.weights.files import read_checkpoint
from hiera_mm.weights.formats import unwrap
from hiera_mm.weights.origin import Origin, record_origins
from hiera_mm.weights.zoo import APACHE, NON_COMMERCIAL

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor

MAPS = 4
"""The last maps of a model are taken, as many as Hiera has."""

LICENCES = {'apache-2.0': APACHE, 'cc-by-nc-4.0': NON_COMMERCIAL}
"""Our names of licences, by timm's."""


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """One of timm's models, from images ``(B, in_channels, H, W)`` to its last four maps ``(B, C, h, w)``, the finest
    first.

    Args:
        model_name: As in ``timm.create_model``, with or without the tag of its weights, such as
            ``'convnext_base.fb_in22k'``.
        pretrained: True for the weights that timm publishes, which are downloaded on first use, or the path of a file
            in their format; None for random ones. :meth:`init_weights` loads them.
        in_channels: Channels of the images.

    Attributes:
        widths: Channels of the maps.
        mean, std: What images of values from 0 to 255 are normalised by, for each of the channels.

    Raises:
        UserError: without timm, for a name that it doesn't know, for weights that can't be loaded, and in ``forward``
            for images of a size that the model does not take.
    """

    def __init__(self, model_name: str, pretrained: bool | str | None = True, in_channels: int = 3) -> None:
        require_extra('timm', 'timm')
        super().__init__()
        self.model_name, self.pretrained, self.in_channels = model_name, pretrained, in_channels
        self.network = self._made()
        self.widths: list[int] = self.network.feature_info.channels()
        values = self.network.pretrained_cfg
        colours = [255 * value for value in values['mean']], [255 * value for value in values['std']]
        self.mean, self.std = ([row[channel % len(row)] for channel in range(in_channels)] for row in colours)

    def init_weights(self) -> None:
        """Load the weights, and record where they come from."""
        if self.pretrained:
            file = {} if self.pretrained is True else dict(pretrained_cfg_overlay=dict(file=self._checked_file()))
            # Into the module that is there, which may be frozen or on another device.
            self.network.load_state_dict(self._made(pretrained=True, **file).state_dict())
            record_origins(self, [self._origin()])
        self._is_init = True

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        try:
            maps = self.network(pixels)
        except AssertionError as error:
            size = ' x '.join(map(str, self.network.pretrained_cfg['input_size'][1:]))
            raise UserError(
                f"timm's {self.model_name} does not take images of {pixels.shape[2]} x {pixels.shape[3]} "
                f'({first_line(str(error))}); it was trained on {size}: set image_size.'
            ) from error
        channels_last = self.network.output_fmt == 'NHWC'
        return tuple(one.permute(0, 3, 1, 2) if channels_last else one for one in maps)

    def _made(self, **weights: Any) -> Any:
        import timm

        name = self.model_name
        try:
            return timm.create_model(
                name,
                features_only=True,
                out_indices=MAPS,
                in_chans=self.in_channels,
                **{'pretrained': False, **weights},
            )
        except Exception as error:
            # timm raises all kinds: of names, of the hub, of files and of tensors.
            wanted = 'the weights of ' if weights else ''
            raise UserError(
                f"timm can't give {wanted}'{name}' with {MAPS} maps: {first_line(str(error))}; see "
                'timm.list_models(pretrained=True) for names.'
            ) from error

    def _checked_file(self) -> str:
        """The file of weights, whose names timm itself does not compare with the model's."""
        import timm

        source = str(self.pretrained)
        given, _ = unwrap(read_checkpoint(source), source)
        model: Any = timm.create_model(self.model_name, in_chans=self.in_channels)
        classifier = model.pretrained_cfg.get('classifier') or ()
        classifiers = tuple(f'{name}.' for name in ([classifier] if isinstance(classifier, str) else classifier))
        own, held = (
            {name for name in names if not name.startswith(classifiers)} for names in (model.state_dict(), given)
        )
        if missing_or_unknown := sorted(own ^ held):
            raise UserError(
                f"The weights in '{source}' are not those of timm's {self.model_name}: {len(own - held)} are missing "
                f'and {len(held - own)} are unknown, such as {missing_or_unknown[0]}; name the model they belong to.'
            )
        return source

    def _origin(self) -> Origin:
        licence = self.network.pretrained_cfg.get('license')
        if self.pretrained is not True:
            return Origin(source=str(self.pretrained), licence=None)
        return Origin(source=f'timm/{self.model_name}', licence=LICENCES.get(licence, licence))
