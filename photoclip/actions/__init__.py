"""Acting upon a report of duplicates, and taking it back.

report       what was found, in a file: each photo with its size, time and hash, and which stay
applying     each file looked at again, then moved away or linked
belongings   what goes along with a photo, and when that keeps it
carrying     keywords of what goes, for the sidecars of what stays
writing      these written in, and taken out
changes      what is written, as bytes in a file
trash        the trash of the desktop
deeds        the steps, one file each: as few calls as can be, none of which takes another file's place
journal      each step on disk before it is done, and after
runs         the journals of a library, and whether a run was cut off
undoing      all of it taken back, as far as the world still is as we left it
files        what a file was: to know it again, and to make another like it
lines        records as lines that show if they were changed or cut short
"""

from photoclip.actions.applying import ACTED_UPON, Acted, How, apply
from photoclip.actions.carrying import KeywordsOf
from photoclip.actions.report import Report, ReportGroup, ReportPhoto, read_report, write_report
from photoclip.actions.runs import JournalFile, copy_journals, journals, was_cut_off
from photoclip.actions.undoing import Undone, undo

__all__ = [
    "ACTED_UPON",
    "Acted",
    "How",
    "JournalFile",
    "KeywordsOf",
    "Report",
    "ReportGroup",
    "ReportPhoto",
    "Undone",
    "apply",
    "copy_journals",
    "journals",
    "read_report",
    "undo",
    "was_cut_off",
    "write_report",
]
