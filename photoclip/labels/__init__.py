"""Files of labels: what the user wants photos to be tagged with. Nothing is half-read: a file means what it
says, or it is an error with file, line and reason."""

from photoclip.labels.files import label_text, open_labels, starter_lists, text_of
from photoclip.labels.lines import read_labels
from photoclip.labels.lists import Group, Label, LabelList
from photoclip.labels.tables import read_toml
from photoclip.labels.thresholds import with_thresholds

__all__ = [
    "Group",
    "Label",
    "LabelList",
    "label_text",
    "open_labels",
    "read_labels",
    "read_toml",
    "starter_lists",
    "text_of",
    "with_thresholds",
]
