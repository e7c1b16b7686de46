"""Editing picture files with a run: files in, before and after strips out."""

from unnoise.edits.decoding import codec_of
from unnoise.edits.editor import Edit, Editor, edit
from unnoise.edits.pictures import read_image
from unnoise.edits.tasks import Colourise, Deblur, Inpaint, Outpaint, Upscale, Vary

__all__ = [
    "Colourise",
    "Deblur",
    "Edit",
    "Editor",
    "Inpaint",
    "Outpaint",
    "Upscale",
    "Vary",
    "codec_of",
    "edit",
    "read_image",
]
