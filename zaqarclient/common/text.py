"""Text of other people that is shown on a terminal."""

from __future__ import annotations

from typing import Final

#: What steers a terminal or changes the order in which text is shown: control
#: characters, direction marks and overrides, invisible separators, lone surrogates.
_RANGES: Final = (
    (0x00, 0x08),
    (0x0B, 0x1F),
    (0x7F, 0x9F),
    (0x061C, 0x061C),
    (0x200E, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0xD800, 0xDFFF),
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFB),
    (0xE0000, 0xE007F),
)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_ESCAPES: Final = {
    code: _escape(code) for first, last in _RANGES for code in range(first, last + 1)
}


def printable(text: str) -> str:
    r"""Return a text that can neither steer a terminal nor show in another order.

    Line breaks and tabs stay; each other control or direction character becomes an
    escape such as ``\x1b`` or ``\u202e``.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_ESCAPES)
