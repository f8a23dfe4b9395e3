"""A stand-in for otpgateway that speaks as much of its HTTP API as figure (i) uses: `peer_stand_in.py --config FILE`.

The code stands in the text of the message only: where the peer repeats it, this server sends another one.
"""

import http.client
import json
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

CONFIG = tomllib.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
WEBHOOKS = CONFIG["webhooks"]
NOT_THE_CODE = "000000"


class Handler(BaseHTTPRequestHandler):
    """Answers that it is ready, creates a code, and verifies one."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one write: a second one waits for the acknowledgement of the first

    def do_GET(self) -> None:
        """Be ready."""
        self._answer(200, "success")

    def do_PUT(self) -> None:
        """Post a message with a code: the last six digits of the number."""
        form = self._form()
        webhook = urlsplit(WEBHOOKS[form["provider"]]["url"])
        assert webhook.hostname
        connection = http.client.HTTPConnection(webhook.hostname, webhook.port)
        otp, text = {"to": form["to"], "otp": NOT_THE_CODE}, f"bench: your verification code is {form['to'][-6:]}."
        connection.request("POST", webhook.path, json.dumps({"otp": otp, "body": text}))
        connection.getresponse().read()
        connection.close()
        self._answer(200, "success")

    def do_POST(self) -> None:
        """Compare."""
        is_right = self._form()["otp"] == self.path[-6:]
        self._answer(200 if is_right else 400, "success" if is_right else "error", closed=is_right)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _form(self) -> dict[str, str]:
        found = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        return {name: values[0] for name, values in found.items()}

    def _answer(self, status: int, said: str, *, closed: bool = False) -> None:
        body = json.dumps({"status": said, "data": {"otp": NOT_THE_CODE, "closed": closed}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    host, _, port = CONFIG["app"]["address"].partition(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()
