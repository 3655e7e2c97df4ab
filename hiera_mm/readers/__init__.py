"""Files as they are published: videos, frame folders, lists, AVA's and COCO's annotations."""
