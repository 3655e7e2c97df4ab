"""mmcv's operators in torch and torchvision, for an mmcv that was installed without compiled ones.

``pip install onedl-mmcv`` leaves out ``mmcv._ext``, and everything that imports ``mmcv.ops`` then fails
(https://github.com/open-mmlab/mmcv/issues/204). :func:`install` replaces it by a module with the operators that
mmdet's detectors, AVA's heads and mmsegmentation's decoders call, on CPU and CUDA; other operators raise an error that
names them.
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
    """Register the replacement as ``mmcv._ext``, unless a compiled one exists, and repair mmdet's placeholders."""
    if 'mmcv._ext' not in sys.modules and importlib.util.find_spec('mmcv._ext') is None:
        sys.modules['mmcv._ext'] = _TorchOperators('mmcv._ext')
        _replace_placeholders()


class _TorchOperators(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name, __doc__)
        self.__spec__ = ModuleSpec(name, loader=None)
        for operator in OPERATORS:
            setattr(self, operator.__name__, operator)
        # mmcv.utils.collect_env() calls these two.
        self.get_compiler_version = self.get_compiling_cuda_version = lambda: 'n/a'

    def __getattr__(self, name: str):
        if name.startswith('__'):
            raise AttributeError(name)

        def refuse(*args, **kwargs):
            raise NotImplementedError(
                f"mmcv's operator '{name}' is not among those that hiera_mm provides on torchvision; to get it, "
                'compile mmcv: pip uninstall -y onedl-mmcv && pip install ninja psutil && '
                'MMCV_WITH_OPS=1 pip install --no-build-isolation --no-binary onedl-mmcv onedl-mmcv'
            )

        return refuse


def _replace_placeholders() -> None:
    """Replace the placeholder operators in modules of mmdet that were imported before this one.

    onedl-mmdetection guards its imports of ``mmcv.ops`` and otherwise defines placeholders that only raise; modules
    imported earlier, such as ``mmdet.apis``, would keep those.
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
