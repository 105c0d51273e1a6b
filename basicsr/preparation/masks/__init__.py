"""Region masks for folders of photos: creation, conversion, display."""
