"""Region masks of folders of photos: made, converted, looked at."""
