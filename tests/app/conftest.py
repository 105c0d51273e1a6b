"""Tests of the page need Gradio, which allows only older versions of Pillow than the rest: make test-app."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("gradio") else ["test_page.py"]
