"""What is trained: one training step and one prediction a task. To add one: a file here and a line below."""

from basicsr.models.image_restoration import ImageRestorationModel

__all__ = ["ImageRestorationModel"]
