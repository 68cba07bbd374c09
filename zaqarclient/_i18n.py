"""The translation domain of this package."""

from __future__ import annotations

import gettext

_ = gettext.translation("zaqarclient", fallback=True).gettext

__all__ = ["_"]
