"""Makes untrusted text fit to show: no escapes, no control, no invisible and no bidi characters.

Covered: what a terminal would obey and what a reader would not see. Not covered: rich's markup
(use `rich.text.Text`, which parses none) and HTML (the template escapes).
"""

import re
import unicodedata

# CSI sequences; OSC, DCS, APC, PM and SOS strings with an end; then any two-character escape.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]{0,64}[ -/]{0,8}[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]{0,512}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]{0,4}[0-Z\\-~]"
)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Drawn as nothing although Unicode calls them letters, marks or symbols.
_UNSEEN = {
    *map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)),
    *map(chr, range(0x180B, 0x1810)),
    *map(chr, range(0xFE00, 0xFE10)),
    *map(chr, range(0xE0100, 0xE01F0)),
}
_MOST_MARKS = 3  # on one letter; more is a tower over the lines above


def plain(text: str, limit: int = 2000) -> str:
    """Return `text` as visible characters and newlines, at most `limit` of them.

    Escape sequences go as a whole; so does everything that Unicode calls Other: controls but the
    newline, format characters (bidi, zero-width), surrogates, private and unassigned code points.
    A tab becomes four spaces, any line end a newline. What is cut ends in "…".
    """
    most = 8 * limit  # so that a flood costs little
    kept: list[str] = []
    marks = 0
    for character in _LINE_ENDS.sub("\n", _ESCAPES.sub("", text[:most])).expandtabs(4):
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if character == "\n" or not (
            category[0] == "C" or character in _UNSEEN or marks > _MOST_MARKS
        ):
            kept.append(character)
    if len(kept) > limit or len(text) > most:
        kept[limit - 1 :] = "…"
    return "".join(kept)


def line(text: str, limit: int = 300) -> str:
    """`plain` text on one line."""
    return " ".join(plain(text, limit).split())
