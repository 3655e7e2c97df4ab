"""Real photographs through a config that inherits from the suite's in another folder."""

from tests.helpers import TINY

CONFIG = """
_base_ = '{tiny}'
data_root = '{folder}/'
metainfo = dict(classes=('bottle', 'bus', 'car', 'chair', 'person', 'sofa'))
dataset = dict(data_root=data_root, ann_file='annotations.json', data_prefix=dict(_delete_=True, img=''))
model = dict(roi_head=dict(bbox_head=dict(num_classes=6), mask_head=dict(num_classes=6)))
train_dataloader = dict(dataset=dict(**dataset, metainfo=metainfo))
val_dataloader = dict(dataset=dict(**dataset, metainfo=metainfo))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations.json')
test_evaluator = val_evaluator
"""


def test_photographs_train_and_evaluate_through_an_inheriting_config(coco_photographs, run_command, tmp_path):
    config = tmp_path / 'photographs.py'
    config.write_text(CONFIG.format(tiny=TINY, folder=coco_photographs))
    code, printed = run_command('train', config, '--work-dir', tmp_path / 'run')
    assert code == 0, printed
    logged = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert 'coco/bbox_mAP_50' in logged and 'coco/segm_mAP_50' in logged
