"""Texts for people out of HTML."""

import re
from html.parser import HTMLParser

_SILENT = frozenset({"script", "style", "template", "head"})
_MARKUP = re.compile(r"[<&]")
_SPACE = re.compile(r"\s+")


def plain_text(html: str) -> str:
    """What a reader sees of a piece of HTML, in one line.

    >>> plain_text("<p>Soft &amp; <b>warm</b>.</p><script>x()</script><p>5 &lt; 6</p>")
    'Soft & warm. 5 < 6'
    """
    if _MARKUP.search(html):
        reader = _Reader()
        reader.feed(html)
        reader.close()
        html = "".join(reader.parts)
    return _SPACE.sub(" ", html).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._silent += tag in _SILENT
        if tag not in _INLINE:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in _SILENT and self._silent > 0
        if tag not in _INLINE:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


_INLINE = frozenset(
    {"a", "abbr", "b", "em", "font", "i", "mark", "small", "span", "strong", "sub", "sup", "u"}
)
