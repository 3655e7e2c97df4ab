"""A run of mmengine with a model of two weights, for tests of what a run saves and how it ends."""

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader


class Line(BaseModel):
    """``y = weight * x``, trained on the squared error."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([0.5, -0.5]))

    def forward(self, inputs, mode='tensor'):
        predicted = self.weight * inputs
        return dict(loss=(predicted - 1).square().mean()) if mode == 'loss' else predicted


class Scores(BaseMetric):
    """Finds what it is given, one at each validation."""

    def __init__(self, scores):
        super().__init__()
        self.scores = iter(scores)

    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        return dict(score=next(self.scores))


def batches(samples):
    numbers = torch.linspace(0, 1, 2 * samples).reshape(samples, 2)
    return DataLoader([dict(inputs=pair) for pair in numbers], batch_size=2)


def small_runner(
    folder, iterations, *, scores=None, hooks=None, resume=None, learning_rate=0.1, schedule=None, **checkpoint
):
    """``iterations`` of batches of two numbers, with a checkpoint after each.

    Args:
        folder: For all that it writes.
        iterations: How many there are.
        scores: Of a validation after each of them; none without.
        hooks: Of one's own, beside mmengine's.
        resume: Checkpoint to go on from.
        learning_rate: Of AdamW.
        schedule: Config of its schedule; constant without.
        checkpoint: Settings of the hook that saves.
    """
    validation = {}
    if scores is not None:
        validation = dict(val_dataloader=batches(2), val_cfg={}, val_evaluator=Evaluator([Scores(scores)]))
    saving = dict(type='CheckpointHook', by_epoch=False, **{'interval': 1, **checkpoint})
    return Runner(
        Line(),
        str(folder),
        train_dataloader=batches(20),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=learning_rate)),
        param_scheduler=schedule and dict(by_epoch=False, **schedule),
        default_hooks=dict(
            checkpoint=saving,
            logger=dict(type='LoggerHook', interval=1),
            release_memory=dict(type='ReleaseMemoryHook'),
        ),
        custom_hooks=hooks,
        default_scope='mmengine',
        resume=resume is not None,
        load_from=resume and str(resume),
        log_level='WARNING',
        randomness=dict(seed=0),
        **validation,
    )
