"""Every family of models trained for the same time on the same images, and measured alike."""

from unnoise.families.families import families
from unnoise.families.table import FAMILIES

__all__ = ["FAMILIES", "families"]
