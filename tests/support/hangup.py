"""A server that hangs up in the middle of ZMTP's greeting."""

import socket
import struct
import threading


class HangsUp:
    """Ten bytes of the signature, what the other side says to them, and a reset: as libzmq's
    server does with keys when its half of the greeting has not left in time. The endpoint."""

    def __enter__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return f"tcp://127.0.0.1:{self.server.getsockname()[1]}"

    def __exit__(self, *_):
        self.server.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.server.close()

    def _serve(self):
        while True:
            try:
                peer = self.server.accept()[0]
            except OSError:
                return
            with peer:
                peer.sendall(b"\xff" + bytes(8) + b"\x7f")
                peer.recv(64)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
