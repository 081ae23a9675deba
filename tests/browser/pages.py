"""The web server of the test: the page, and MQTT.js as its npm package has it for browsers."""
from __future__ import annotations

import http.server
import os
import ssl
import threading
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = {'.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8'}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.server.files.get(urllib.parse.urlsplit(self.path).path)
        if path is None:
            self.send_error(404)
            return
        with open(path, 'rb') as file:
            content = file.read()
        self.send_response(200)
        self.send_header('Content-Type', TYPES[os.path.splitext(path)[1]])
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class PageServer:
    """On a port of 127.0.0.1 that the system chooses, until the end of a `with`."""

    def __init__(self, node_modules: str, certificate=None):
        """`certificate`: the files of one and of its key; without them the pages come by http."""
        self.scheme = 'https' if certificate else 'http'
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.files = {
            '/': os.path.join(HERE, 'page', 'index.html'),
            '/page.js': os.path.join(HERE, 'page', 'page.js'),
            '/mqtt.min.js': os.path.join(node_modules, 'mqtt', 'dist', 'mqtt.min.js'),
        }
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            # Each connection shakes hands in its own thread.
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> PageServer:
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def origin(self, host: str) -> str:
        return f'{self.scheme}://{host}:{self.server.server_port}'

    def page(self, host: str, **asked) -> str:
        return f'{self.origin(host)}/?{urllib.parse.urlencode(asked)}'
