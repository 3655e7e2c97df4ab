"""mmcv's operators on torchvision's kernels and torch's own, where mmcv was installed without compiled ones.

``pip install onedl-mmcv`` leaves ``mmcv._ext`` out, and everything that imports ``mmcv.ops`` then fails
(https://github.com/open-mmlab/mmcv/issues/204). :func:`install` puts a module in its place that serves the
operators that mmdet's detectors, AVA's heads and mmsegmentation's decoders call, on CPU and CUDA, and refuses the
others by name.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

from hiera_mm.ops import attention, convolutions, losses, regions, suppression

OPERATORS = (
    *(suppression.nms, suppression.softnms, suppression.nms_match),
    *(regions.roi_align_forward, regions.roi_align_backward),
    *(regions.deform_roi_pool_forward, regions.deform_roi_pool_backward),
    *(convolutions.deform_conv_forward, convolutions.deform_conv_backward_input),
    *(convolutions.deform_conv_backward_parameters,),
    *(convolutions.modulated_deform_conv_forward, convolutions.modulated_deform_conv_backward),
    *(convolutions.masked_im2col_forward, convolutions.masked_col2im_forward),
    *(convolutions.carafe_forward, convolutions.carafe_backward),
    *(convolutions.carafe_naive_forward, convolutions.carafe_naive_backward),
    *(attention.ms_deform_attn_forward, attention.ms_deform_attn_backward),
    *(attention.psamask_forward, attention.psamask_backward),
    *(losses.sigmoid_focal_loss_forward, losses.sigmoid_focal_loss_backward),
    *(losses.softmax_focal_loss_forward, losses.softmax_focal_loss_backward),
)


def install() -> None:
    """Register the stand-in as ``mmcv._ext``, unless there is a compiled one; repair what mmdet left out."""
    if 'mmcv._ext' not in sys.modules and importlib.util.find_spec('mmcv._ext') is None:
        sys.modules['mmcv._ext'] = _StandIn('mmcv._ext')
        _replace_placeholders()


class _StandIn(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name, __doc__)
        self.__spec__ = ModuleSpec(name, loader=None)
        for operator in OPERATORS:
            setattr(self, operator.__name__, operator)
        # mmcv.utils.collect_env() asks for these two.
        self.get_compiler_version = self.get_compiling_cuda_version = lambda: 'n/a'

    def __getattr__(self, name: str):
        if name.startswith('__'):
            raise AttributeError(name)

        def refuse(*args, **kwargs):
            raise NotImplementedError(
                f"mmcv's operator '{name}' is not among those that hiera_mm provides on torchvision; to get it, "
                f'compile mmcv: pip uninstall -y onedl-mmcv && pip install ninja psutil && '
                f'MMCV_WITH_OPS=1 pip install --no-build-isolation --no-binary onedl-mmcv onedl-mmcv'
            )

        return refuse


def _replace_placeholders() -> None:
    """Give modules of mmdet that were imported before this one the operators they went without.

    onedl-mmdetection guards its imports of ``mmcv.ops`` and defines functions and classes in their place
    that only raise; whoever imported ``mmdet.apis`` first keeps those.
    """
    early = [module for name, module in sys.modules.items() if name.split('.')[0] == 'mmdet']
    found = [(module, name) for module in early for name, value in vars(module).items() if _is_placeholder(value)]
    if found:
        import mmcv.ops

        for module, name in found:
            if hasattr(mmcv.ops, name):
                setattr(module, name, getattr(mmcv.ops, name))


def _is_placeholder(value: object) -> bool:
    function = value.__dict__.get('__init__') if isinstance(value, type) else value
    constants = getattr(getattr(function, '__code__', None), 'co_consts', ())
    return any(isinstance(text, str) and 'mmcv to be compiled with ops' in text for text in constants)
