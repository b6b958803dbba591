"""Just enough of PromQL to find the measured sides of an alert's condition."""
import re

LIMIT = re.compile(r"(?:==|!=|>=|<=|>|<)\s*[-+0-9.e]+\s*$")


def _flat(text):
    """The text with everything in brackets, braces and quotes blanked out: what stands at the top level."""
    flat, depth, quote = [], 0, ""
    for c in text:
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'`":
            quote = c
        elif c in ")]}":
            depth -= 1
        elif depth == 0 and c not in "([{":
            flat.append(c)
            continue
        elif c in "([{":
            depth += 1
        flat.append("\0")
    return "".join(flat)


def _strip_brackets(text):
    text = text.strip()
    while text.startswith("(") and _flat(text).strip("\0") == "":
        text = text[1:-1].strip()
    return text


def measured_sides(expression):
    """["a", "b"] of `a > 1 and on (x) b == 0`: what must be there for the alert to be able to fire. `(a) == 0` gives a.
    A condition within brackets stays: it says which series are meant."""
    text = " ".join(expression.split())
    flat, pieces, start = _flat(text), [], 0
    for match in re.finditer(r"\b(?:and|unless)\b(?: (?:on|ignoring) \0*)?", flat):
        pieces.append(text[start:match.start()])
        start = match.end()
    pieces.append(text[start:])
    sides = []
    for piece in pieces:
        limit = LIMIT.search(_flat(piece))
        sides.append(_strip_brackets(piece[:limit.start()] if limit else piece))
    return sides
