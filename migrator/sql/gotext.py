"""What Go calls a blank, where goose's grammar depends on it."""

import re


# Go's unicode.IsSpace. Python's str.strip also takes \x1c-\x1f, which Go keeps.
BLANKS = (
    " \t\n\v\f\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)


def trim(text: str) -> str:
    """Return *text* without blanks at its ends: Go's strings.TrimSpace."""
    return text.strip(BLANKS)


COMMENT_WORD = re.compile(rf"(?:^|(?<=[{BLANKS}]))--")


# parser.go: endsWithSemicolon; words by bufio.ScanWords
def ends_statement(line: str) -> bool:
    """Say whether the last word before the first with `--` in front ends with `;`."""
    if "--" in line:
        match = COMMENT_WORD.search(line)
        line = line[: match.start()] if match else line
    return line.rstrip(BLANKS).endswith(";")
