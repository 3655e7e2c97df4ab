"""A seventh task, from outside the package: images that look alike, found by pooled features."""

import csv

from hiera_mm.config import in_scope
from hiera_mm.atomic_write import atomic_write
from hiera_mm.engine.training_plan import pipeline_shape
from hiera_mm.inference.images import one_or_several
from hiera_mm.inference.prediction import Outcome, each_result
from hiera_mm.inference.report.parts import Section, Table
from hiera_mm.readers.inputs import Kind
from hiera_mm.tasks import register
from hiera_mm.tasks.classification.task import artist_of, check_of, faults_between
from hiera_mm.tasks.task import Task

import torch
import torch.nn.functional as F
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import METRICS, MODELS


@MODELS.register_module()
class RetrievalModel(BaseModel):
    """Features of unit length, trained by the cosine to one proxy for each class (normalised softmax)."""

    def __init__(self, backbone, in_channels, num_classes, data_preprocessor=None, init_cfg=None):
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.proxies = torch.nn.Linear(in_channels, num_classes, bias=False)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        features = F.normalize(self.backbone(inputs[:, 0])[-1].mean((2, 3)))
        if mode == 'loss':
            cosines = features @ F.normalize(self.proxies.weight).T
            return dict(loss=F.cross_entropy(16 * cosines, torch.cat([sample.gt_label for sample in data_samples])))
        for sample, feature in zip(data_samples, features, strict=True):
            sample.set_field(feature, 'feature')
        return data_samples


def neighbours(features):
    """The place of the most similar other row, for each row of features of unit length."""
    return (features @ features.T).fill_diagonal_(-2).argmax(1)


@METRICS.register_module()
class RecallAt1(BaseMetric):
    """The share of images whose nearest other image has the same class."""

    def process(self, data_batch, data_samples):
        self.results += [(sample['feature'].cpu(), int(sample['gt_label'])) for sample in data_samples]

    def compute_metrics(self, results):
        labels = torch.tensor([label for _, label in results])
        nearest = neighbours(torch.stack([feature for feature, _ in results]))
        return dict(recall_at_1=float((labels[nearest] == labels).float().mean()))


class Retriever:
    """A trained model that takes files and gives their features."""

    kinds = (Kind.IMAGE,)

    def __init__(self, trained):
        self.trained, self.names = trained, trained.classes()
        with in_scope(trained.config):
            self.pipeline = Compose(trained.test_pipeline)

    def predict(self, images):
        return one_or_several(self._features, images)

    @torch.no_grad()
    def _features(self, images):
        batch = pseudo_collate([self.pipeline(dict(img_path=str(image))) for image in images])
        return [sample.feature.cpu() for sample in self.trained.model.test_step(batch)]


class RetrievalTask(Task):
    name = 'image retrievers'
    options = dict(batch_size=1)
    check_of, artist_of = staticmethod(check_of), staticmethod(artist_of)
    faults_between, predictor = staticmethod(faults_between), staticmethod(lambda trained, classes: Retriever(trained))

    def recognises(self, config):
        return config.get('model', {}).get('type') == 'RetrievalModel'

    def class_places(self, model):
        return [('model.num_classes', model.num_classes)]

    def map_takers(self, model):
        yield model

    def input_shape(self, config):
        return pipeline_shape(config.train_dataloader.dataset.pipeline)

    def predict_files(self, predictor, inputs, folder, options):
        outcome = Outcome(folder, dict(model=predictor.trained.version), inputs)
        files = {entry: entry.source for entry in outcome.left}
        for entry, feature in each_result(predictor.predict, files, options['batch_size'], outcome):
            outcome.finish(entry, dict(feature=feature.tolist()))
        entries = list(outcome.progress.entries())
        nearest = neighbours(torch.tensor([entry['feature'] for entry in entries]))
        with atomic_write(folder / 'neighbours.csv') as unfinished, unfinished.open('w', newline='') as file:
            rows = [(entry['input'], entries[place]['input']) for entry, place in zip(entries, nearest, strict=True)]
            csv.writer(file).writerows([('file', 'most similar'), *rows])
        outcome.close()
        return outcome

    def report(self, trained, tested, score_thr):
        labels = [int(found['gt_label']) for found in tested.predictions]
        nearest = neighbours(torch.stack([found['feature'] for found in tested.predictions])).tolist()
        rows = list(zip(labels, map(labels.__getitem__, nearest), strict=True))
        yield Section('Nearest neighbours', tables=[Table(('class', 'class of the nearest'), rows)])


TASK = register(RetrievalTask())
