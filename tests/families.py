"""mmdet's detectors, each by one of its configs, with a small Hiera in place of their backbone."""

import contextlib
from collections.abc import Iterator
from unittest.mock import patch

import hiera_mm  # noqa: F401  (first: it repairs what other imports need)
from hiera_mm.config import dicts_in

import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from torch.overrides import TorchFunctionMode

ARCH = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
WIDTHS = (16, 32, 64, 128)
SIDE = 128
"""Of the pictures, in pixels."""

FAMILIES = (
    'atss/atss_r50_fpn_1x_coco',
    'autoassign/autoassign_r50-caffe_fpn_1x_coco',
    'boxinst/boxinst_r50_fpn_ms-90k_coco',
    'carafe/faster-rcnn_r50_fpn-carafe_1x_coco',
    'carafe/mask-rcnn_r50_fpn-carafe_1x_coco',
    'cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco',
    'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco',
    'cascade_rpn/cascade-rpn_fast-rcnn_r50-caffe_fpn_1x_coco',
    'cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco',
    'centernet/centernet-update_r50_fpn_8xb8-amp-lsj-200e_coco',
    'centernet/centernet_r18_8xb16-crop512-140e_coco',
    'centernet/centernet_r18-dcnv2_8xb16-crop512-140e_coco',
    'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance',
    'conditional_detr/conditional-detr_r50_8xb2-50e_coco',
    'crowddet/crowddet-rcnn_r50_fpn_8xb2-30e_crowdhuman',
    'crowddet/crowddet-rcnn_refine_r50_fpn_8xb2-30e_crowdhuman',
    'dab_detr/dab-detr_r50_8xb2-50e_coco',
    'dcn/faster-rcnn_r50_fpn_dpool_1x_coco',
    'dcnv2/faster-rcnn_r50_fpn_mdpool_1x_coco',
    'ddod/ddod_r50_fpn_1x_coco',
    'ddq/ddq-detr-4scale_r50_8xb2-12e_coco',
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco',
    'deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco',
    'detr/detr_r50_8xb2-150e_coco',
    'dino/dino-4scale_r50_8xb2-12e_coco',
    'double_heads/dh-faster-rcnn_r50_fpn_1x_coco',
    'dyhead/atss_r50_fpn_dyhead_1x_coco',
    'dynamic_rcnn/dynamic-rcnn_r50_fpn_1x_coco',
    'fast_rcnn/fast-rcnn_r50_fpn_1x_coco',
    'faster_rcnn/faster-rcnn_r50_fpn_1x_coco',
    'faster_rcnn/faster-rcnn_r50_fpn_fcos-rpn_1x_coco',
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco',
    'fcos/fcos_r50-dcn-caffe_fpn_gn-head-center-normbbox-centeronreg-giou_1x_coco',
    'foveabox/fovea_r50_fpn_4xb4-1x_coco',
    'foveabox/fovea_r50_fpn_gn-head-align_4xb4-2x_coco',
    'free_anchor/freeanchor_r50_fpn_1x_coco',
    'fsaf/fsaf_r50_fpn_1x_coco',
    'gfl/gfl_r50_fpn_1x_coco',
    'ghm/retinanet_r50_fpn_ghm-1x_coco',
    'grid_rcnn/grid-rcnn_r50_fpn_gn-head_1x_coco',
    'groie/faste-rcnn_r50_fpn_groie_1x_coco',
    'guided_anchoring/ga-faster-rcnn_r50_fpn_1x_coco',
    'guided_anchoring/ga-retinanet_r50_fpn_1x_coco',
    'htc/htc_r50_fpn_1x_coco',
    'htc/htc-without-semantic_r50_fpn_1x_coco',
    'lad/lad_r50-paa-r101_fpn_2xb8_coco_1x',
    'ld/ld_r50-gflv1-r101_fpn_1x_coco',
    'libra_rcnn/libra-faster-rcnn_r50_fpn_1x_coco',
    'libra_rcnn/libra-retinanet_r50_fpn_1x_coco',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic',
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco',
    'maskformer/maskformer_r50_ms-16xb1-75e_coco',
    'ms_rcnn/ms-rcnn_r50-caffe_fpn_1x_coco',
    'nas_fcos/nas-fcos_r50-caffe_fpn_fcoshead-gn-head_4xb4-1x_coco',
    'nas_fcos/nas-fcos_r50-caffe_fpn_nashead-gn-head_4xb4-1x_coco',
    'nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco',
    'paa/paa_r50_fpn_1x_coco',
    'pafpn/faster-rcnn_r50_pafpn_1x_coco',
    'panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco',
    'pisa/faster-rcnn_r50_fpn_pisa_1x_coco',
    'pisa/mask-rcnn_r50_fpn_pisa_1x_coco',
    'pisa/retinanet-r50_fpn_pisa_1x_coco',
    'point_rend/point-rend_r50-caffe_fpn_ms-1x_coco',
    'queryinst/queryinst_r50_fpn_1x_coco',
    'reppoints/reppoints-bbox_r50_fpn-gn_head-gn-grid_1x_coco',
    'reppoints/reppoints-moment_r50_fpn_1x_coco',
    'retinanet/retinanet_r50_fpn_1x_coco',
    'rpn/rpn_r50_fpn_1x_coco',
    'rtmdet/rtmdet_s_8xb32-300e_coco',
    'rtmdet/rtmdet-ins_s_8xb32-300e_coco',
    'sabl/sabl-cascade-rcnn_r50_fpn_1x_coco',
    'sabl/sabl-faster-rcnn_r50_fpn_1x_coco',
    'sabl/sabl-retinanet_r50_fpn_1x_coco',
    'scnet/scnet_r50_fpn_1x_coco',
    'seesaw_loss/mask-rcnn_r50_fpn_seesaw-loss_sample1e-3-ms-2x_lvis-v1',
    'solo/solo_r50_fpn_1x_coco',
    'solo/decoupled-solo_r50_fpn_1x_coco',
    'solo/decoupled-solo-light_r50_fpn_3x_coco',
    'solov2/solov2_r50_fpn_1x_coco',
    'sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco',
    'ssd/ssd300_coco',
    'tood/tood_r50_fpn_1x_coco',
    'tood/tood_r50_fpn_anchor-based_1x_coco',
    'vfnet/vfnet_r50_fpn_1x_coco',
    'vfnet/vfnet_r50-mdconv-c3-c5_fpn_ms-2x_coco',
    'yolact/yolact_r50_1xb8-55e_coco',
    'yolo/yolov3_d53_8xb8-320-273e_coco',
    'yolof/yolof_r50-c5_8xb8-1x_coco',
    'yolox/yolox_s_8xb8-300e_coco',
)

STAGES = ('loss', 'prediction', 'loss as on a GPU')


def with_hiera(name: str) -> ConfigDict:
    """The model of a config of mmdet with a small Hiera, whose neck takes Hiera's widths."""
    config: Config = get_config(f'mmdet::{name}.py')
    init_default_scope(config.default_scope)
    model = config.model
    for part in (model, model.get('detector') or {}):
        if 'backbone' in part:
            _replace(part)
    if 'num_queries' in model:
        # As many as the small pictures have places for.
        model.num_queries = min(model.num_queries, 100)
    if 'teacher_config' in model:
        model.teacher_config = dict(model=with_hiera('gfl/gfl_r50_fpn_1x_coco'))
    if 'teacher_ckpt' in model:
        model.teacher_ckpt = None
    return model


def _replace(model: ConfigDict) -> None:
    necks = model.get('neck') or ConfigDict(in_channels=[0])
    neck = necks[0] if isinstance(necks, list) else necks
    head = model.get('panoptic_head')
    taker = head if head is not None and 'in_channels' in head and not model.get('neck') else neck
    told = taker.get('in_channels')
    count = len(told) if isinstance(told, list | tuple) else 1
    stages = (1, 2) if taker.get('type') == 'SSDNeck' else tuple(range(4))[-min(count, 4) :]
    model.backbone = ConfigDict(type='Hiera', arch=ARCH, out_indices=stages)
    widths = [WIDTHS[stage] for stage in stages]
    if isinstance(told, list | tuple):
        # YOLOv3's neck takes the smallest map first.
        widths = widths[::-1] if list(told) == sorted(told, reverse=True) else widths
        taker.in_channels = widths
        if taker.get('type') == 'SSDNeck':
            # It hands these maps on as they are.
            taker.out_channels = model.bbox_head.in_channels = [*widths, *taker.out_channels[len(widths) :]]
        if head is not None and taker is head:
            head.pixel_decoder.setdefault('in_channels', widths)
    elif model.get('neck') is not None:
        key = 'in_channels' if 'in_channels' in neck else 'in_channel'
        neck[key] = WIDTHS[-1]


def inputs(model: ConfigDict, count: int = 2) -> dict:
    """Two pictures with boxes, masks and a map of classes."""
    # SSD's neck makes six maps, each of half the size.
    side = 320 if 'SSDNeck' in str(model.get('neck')) else SIDE
    stride = 8 if 'semantic_head' in (model.get('roi_head') or {}) else 1
    packed = demo_mm_inputs(
        count,
        image_shapes=[(3, side, side)] * count,
        num_items=[4] * count,
        num_classes=2,
        sem_seg_output_strides=stride,
        # RTMDet's detector without masks refuses them.
        with_mask=model.type != 'RTMDet' or 'Ins' in model.bbox_head.type,
        with_semantic=True,
        use_box_type=True,
    )
    for sample in packed['data_samples']:
        if model.type == 'FastRCNN':
            # Regions that another model found.
            sample.proposals = InstanceData(bboxes=sample.gt_instances.bboxes.tensor.clone(), scores=torch.ones(4))
        sample.set_metainfo(dict(batch_input_shape=(side, side), pad_shape=(side, side), scale_factor=(1.0, 1.0)))
    return packed


def attempt(name: str, device: str = 'cpu') -> dict[str, str]:
    """What of :data:`STAGES` a family reaches: an empty text, or what it said."""
    outcome = {}
    model = with_hiera(name)
    torch.manual_seed(0)
    detector = MODELS.build(model)
    # Some of DETR's parameters hold whatever was in the memory before.
    detector.init_weights()
    detector.to(device)
    # Which some losses ask for.
    MessageHub.get_current_instance().update_info('iter', 0)
    MessageHub.get_current_instance().update_info('epoch', 0)
    last = _loss_as_on_a_gpu if device == 'cpu' else _loss
    for stage, run in zip(STAGES, (_loss, _predict, last), strict=True):
        try:
            run(detector, model)
            outcome[stage] = ''
        except Exception as error:  # Whatever it says belongs into the table.
            outcome[stage] = f'{type(error).__name__}: {error}'
    return outcome


def _loss(detector: torch.nn.Module, model: ConfigDict) -> None:
    detector.train()
    batch = detector.data_preprocessor(inputs(model), training=True)
    loss, _ = detector.parse_losses(detector(**batch, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss), f'the loss is {loss}'
    # Its maps lie in memory by other strides than ResNet's: gradients must come back through them.
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in detector.backbone.parameters())


def _predict(detector: torch.nn.Module, model: ConfigDict) -> None:
    detector.eval()
    # Guided anchoring computes one picture at a time.
    count = 1 if any(str(part.get('type', '')).startswith('GA') for part in dicts_in(model)) else 2
    with torch.no_grad():
        first = detector.test_step(inputs(model, count))[0]
    assert any(key in first for key in ('pred_instances', 'pred_panoptic_seg'))


class _SaysItIsOnAGpu(TorchFunctionMode):
    def __torch_function__(self, func, types, args=(), kwargs=None):
        return True if func == torch.Tensor.is_cuda.__get__ else func(*args, **(kwargs or {}))


@contextlib.contextmanager
def dispatched_as_on_a_gpu() -> Iterator[None]:
    """OpenMMLab calls the operators that it calls for a GPU's tensors, on a CPU's."""
    import mmcv.ops.multi_scale_deform_attn as attention

    with (
        _SaysItIsOnAGpu(),
        patch('torch.cuda.is_available', return_value=True),
        patch('torch.cuda.current_device', return_value='cpu'),
        patch.object(attention, 'IS_CUDA_AVAILABLE', True),
    ):
        yield


def _loss_as_on_a_gpu(detector: torch.nn.Module, model: ConfigDict) -> None:
    with dispatched_as_on_a_gpu():
        _loss(detector, model)
