"""A web server on this machine that behaves as badly as a test wants."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def web_server(routes: dict[str, Answer]) -> Iterator[str]:
    """Serve these paths (without their query); yields the address of the root, without the slash at its end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = routes.get(self.path.partition("?")[0])
            try:
                if found is None:
                    self.send_error(404)
                else:
                    found(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def send(data: bytes, status: int = 200, length: int | None = -1, **headers: str) -> Answer:
    """Answer with these bytes. length: what Content-Length says; -1 for the truth, None for nothing."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if length is None:
            handler.close_connection = True
            handler.send_header("Connection", "close")
        else:
            handler.send_header("Content-Length", str(len(data) if length == -1 else length))
        handler.end_headers()
        handler.wfile.write(data)
        if length not in {-1, None}:
            handler.close_connection = True

    return answer


def chunked(chunks: list[bytes], complete: bool = True) -> Answer:
    """Answer in chunks, with or without the last one that says that this is all."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for chunk in chunks:
            handler.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        if complete:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return answer


def slow(first: bytes, wait: Callable[[], object], length: int = 10**9) -> Answer:
    """Send the first bytes of many, then wait."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(first)
        handler.wfile.flush()
        wait()
        handler.close_connection = True

    return answer


def redirect(to: str) -> Answer:
    return send(b"", 302, Location=to)
