"""``hiera-mm make-video-list``: see hiera_mm/commands/make_video_list.py."""

from hiera_mm.commands import main

if __name__ == '__main__':
    main('make-video-list')
