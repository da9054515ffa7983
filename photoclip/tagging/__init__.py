"""Tagging: the user's own labels, decided against stored embeddings. No photo is opened."""

from photoclip.tagging.deciding import CERTAIN
from photoclip.tagging.run import Tagging, tag
from photoclip.tagging.wording import PROMPTS

__all__ = ["CERTAIN", "PROMPTS", "Tagging", "tag"]
