# How many channels images have, and the files of an image if each has several, such as ('rgb/*.jpg', 'depth/*.png').
# Other than 3 channels need mean and std as well, which hiera-mm check-data prints (docs/channels.md).
channels = 3
channel_files = None

# Of the step that loads images.
loaded = dict(channels=channels, channel_files=channel_files) if channels != 3 or channel_files else {}
# For steps that change colours as red, green and blue bytes have them.
coloured = channels == 3 and not channel_files
