"""Refuses requests to the page under a foreign name, as sent by a website whose name was made to lead here (DNS
rebinding): its scripts could then use the page."""

import ipaddress
import re
import socket
from collections.abc import Collection
from typing import Any

from starlette.responses import PlainTextResponse


class HostCheck:
    """A layer around a web application (ASGI) that answers 421 to requests for an unknown host.

    Known are addresses in numbers, which no website can claim, ``localhost``, and this machine's own names.

    Args:
        app: The application.
        names: Other known names, such as that of a proxy.
    """

    def __init__(self, app: Any, names: Collection[str]) -> None:
        self.app = app
        self.names = {name.lower() for name in (*names, 'localhost', socket.gethostname(), socket.getfqdn())}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        given = dict(scope.get('headers') or {}).get(b'host', b'').decode('latin-1')
        if scope['type'] not in ('http', 'websocket') or self._knows(given):
            await self.app(scope, receive, send)
        else:
            text = f"This page does not answer as '{given}'; start the server with --allowed-hosts and that name.\n"
            await PlainTextResponse(text, 421)(scope, receive, send)

    def _knows(self, host: str) -> bool:
        name = re.sub(r':\d+$', '', host).strip('[]').lower()
        try:
            return bool(ipaddress.ip_address(name))
        except ValueError:
            return name.rstrip('.') in self.names
