# The channels of a model's images with their mean and deviation, by default ImageNet's of red, green and blue. They
# follow the settings channels, mean and std (docs/channels.md).
in_channels = 3
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]

# Of the data preprocessors; mmdet's and mmsegmentation's own take 1 or 3 channels.
of_detector = of_segmentor = dict(mean=mean, std=std, bgr_to_rgb=in_channels == 3)
if in_channels != 3:
    of_detector = dict(type='MultiChannelDetDataPreprocessor', **of_detector)
    of_segmentor = dict(type='MultiChannelSegDataPreProcessor', **of_segmentor)
