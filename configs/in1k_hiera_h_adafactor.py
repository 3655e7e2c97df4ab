# Ours: in1k_hiera_h by Adafactor (arXiv 1804.04235), whose state is a row and a column of each matrix; "Scaling vision
# transformers" (arXiv 2106.04560, section 3.4) trains its largest models by a variant of it. Its rate is relative to
# the size of the weights; this one is torch's default. Nobody has trained it on ImageNet.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = './in1k_hiera_h.py'

learning_rate = 1e-2
optim_wrapper = dict(optimizer=dict(_delete_=True, type='TorchAdafactor', lr=learning_rate, weight_decay=0.05))
