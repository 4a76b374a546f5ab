"""A process that serves a state folder as the service does, and answers /livez and /health."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from ltx2_service.boundaries.lock import Holder, held


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"status": "ok"}).encode())

    def log_message(self, *_: object) -> None:
        pass


def main(state: Path, manner: str) -> None:
    if manner == "refuses":
        sys.exit("ltx2-service: the weights are gone\n  to do: look for them")
    if manner == "breaks":
        print(1 / 0)
    with held(state) as tell, HTTPServer(("127.0.0.1", 0), _Answers) as server:
        ended = threading.Event()
        how = signal.SIG_IGN if manner == "stubborn" else lambda *_: ended.set()
        signal.signal(signal.SIGTERM, how)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tell(Holder(os.getpid(), "127.0.0.1", server.server_port))
        while not ended.wait(0.05):
            pass
        server.shutdown()
    print("ended as asked", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "".join(sys.argv[2:]))
