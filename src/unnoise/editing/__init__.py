"""Editing picture files with a run: files in, before and after strips out."""

from unnoise.editing.edit import Edit, Editor, edit
from unnoise.editing.image_files import read_image
from unnoise.editing.tasks import Colourise, Deblur, Inpaint, Outpaint, Upscale, Vary

__all__ = [
    "Colourise",
    "Deblur",
    "Edit",
    "Editor",
    "Inpaint",
    "Outpaint",
    "Upscale",
    "Vary",
    "edit",
    "read_image",
]
