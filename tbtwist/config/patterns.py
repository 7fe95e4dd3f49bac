"""What texts in a configuration may look like, and how that is said in words.

What goes into nginx's configuration is refused here if it could change the
meaning of what stands around it, so that no text has to be escaped there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PLAIN: Final = r"[^\x00-\x1f\x7f\"'\\$;{}#]"
_SPECIAL: Final = "quotes, backslashes, control characters and $ ; { } #"

SHA256: Final = r"^[0-9a-fA-F]{64}\Z"
HTTPS_URL: Final = r"^(https://[!-~]+)?\Z"
NETWORK: Final = r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?\Z"
SERVER_NAMES: Final = r"^[A-Za-z0-9_.*:\[\]-]+( [A-Za-z0-9_.*:\[\]-]+)*\Z"
NGINX_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,63}\Z"
NGINX_RATE: Final = r"^[1-9][0-9]{0,5}r/[sm]\Z"
NGINX_PATH: Final = rf"^{_PLAIN}*\Z"
NGINX_LOG: Final = rf"^(off|/{_PLAIN}+)?\Z"
NGINX_ERROR_LOG: Final = rf"^(stderr|/{_PLAIN}+)?\Z"
_NAME: Final = r"[^\W\d]\w*"
_NAMES: Final = rf"{_NAME}(\.{_NAME})*"
MODULE: Final = rf"^{_NAMES}\Z"
MOUNTED: Final = rf"^{_NAMES}(:{_NAME})?\Z"
APP: Final = rf"^(tbtwist|toolboxv2|{_NAMES}:{_NAME})\Z"
MOUNT_PATH: Final = r"^/"

IN_WORDS: Final[Mapping[str, str]] = {
    SHA256: "a SHA-256, which has 64 hexadecimal digits",
    HTTPS_URL: "an address that begins with https://",
    MODULE: "a module's name, as in shop.api",
    MOUNTED: "a module and a name in it, as in shop.wsgi:application",
    APP: "tbtwist, toolboxv2, or a module and a function, as in shop:make_app",
    MOUNT_PATH: "a path, which begins with /",
    NETWORK: "an address or a network like 10.0.0.0/8",
    SERVER_NAMES: "host names separated by spaces",
    NGINX_NAME: "a name of letters, digits and underscores",
    NGINX_RATE: "a rate like 10r/s or 600r/m",
    NGINX_PATH: f"a path without {_SPECIAL}",
    NGINX_LOG: f"off, or an absolute path without {_SPECIAL}",
    NGINX_ERROR_LOG: f"stderr, or an absolute path without {_SPECIAL}",
}
