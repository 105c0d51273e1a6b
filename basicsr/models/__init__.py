"""Models: a training step and a prediction for each task. To add one: a file here and a line below."""

from basicsr.models.clip_restoration import ClipRestorationModel
from basicsr.models.image_restoration import ImageRestorationModel
from basicsr.models.ordering import OrderingModel
from basicsr.models.semantic_distillation import SemanticDistillationModel
from basicsr.models.teacher_distillation import TeacherDistillationModel

__all__ = [
    "ClipRestorationModel",
    "ImageRestorationModel",
    "OrderingModel",
    "SemanticDistillationModel",
    "TeacherDistillationModel",
]
