"""Connections between programs that a test can cut.

    with Links() as links:
        link = links.open(folder + "/near", folder + "/far")   # listens at near, connects to far
        link.cut(True, False)   # what goes out is held, what comes back passes
        link.reset()            # both ends see it close; new ones are refused until heal()
        link.heal()

Unix sockets in both directions; one thread carries everything. What is held while a link is cut
arrives when it is healed, as with TCP when a cable is put back in time.
"""

import os
import selectors
import socket
import threading

PIECE = 1 << 16


class Pair:
    """One connection through a link."""

    def __init__(self, link, near, far):
        self.link = link
        self.ends = (near, far)
        self.held = [b"", b""]  # on its way to far, to near
        self.masks = [0, 0]     # what each end is watched for


class Link:
    def __init__(self, links, near, far):
        self.links = links
        self.far = far
        self.is_cut = [False, False]  # to the far end, to the near one
        self.is_closed = False
        self.pairs = set()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(near)
        self.listener.listen(64)
        self.listener.setblocking(False)

    def cut(self, out, back):
        self.links.do(lambda: self._cut(out, back))

    def reset(self):
        self.links.do(self._reset)

    def heal(self):
        self.links.do(self._heal)

    def _cut(self, out, back):
        self.is_cut = [out, back]
        self.links.watch_all(self)

    def _reset(self):
        self.is_closed = True
        for pair in list(self.pairs):
            self.links.close(pair)

    def _heal(self):
        self.is_closed = False
        self.is_cut = [False, False]
        self.links.watch_all(self)


class Links:
    """All links of a test, and the thread that carries."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.wake_read, self.wake_write = os.pipe()
        self.selector.register(self.wake_read, selectors.EVENT_READ, self._on_wake)
        self.lock = threading.Lock()
        self.orders = []
        self.listeners = []
        self.is_over = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.do(lambda: setattr(self, "is_over", True))
        self.thread.join()
        for listener in self.listeners:
            listener.close()
        self.selector.close()
        os.close(self.wake_read)
        os.close(self.wake_write)

    def open(self, near, far):
        link = Link(self, near, far)
        self.listeners.append(link.listener)
        self.do(lambda: self.selector.register(
            link.listener, selectors.EVENT_READ, lambda _: self._accept(link)))
        return link

    def do(self, order):
        """Has the thread do something, and waits until it is done."""
        done = threading.Event()
        with self.lock:
            self.orders.append((order, done))
        os.write(self.wake_write, b"\0")
        done.wait()

    # ---- the thread ----

    def _run(self):
        while not self.is_over:
            for key, mask in self.selector.select():
                # Not what another one of this batch has changed or closed.
                if self.selector.get_map().get(key.fd) is key:
                    key.data(mask)

    def _on_wake(self, _):
        os.read(self.wake_read, 4096)
        with self.lock:
            orders, self.orders = self.orders, []
        for order, done in orders:
            order()
            done.set()

    def _accept(self, link):
        near, _ = link.listener.accept()
        far = socket.socket(socket.AF_UNIX)
        try:
            if link.is_closed:
                raise ConnectionRefusedError
            far.connect(link.far)
        except OSError:
            near.close()
            far.close()
            return
        near.setblocking(False)
        far.setblocking(False)
        pair = Pair(link, near, far)
        link.pairs.add(pair)
        self.watch(pair)

    def watch_all(self, link):
        for pair in list(link.pairs):
            self.watch(pair)

    def watch(self, pair):
        """Reads where nothing is held and the way is free; writes what is held."""
        for side in (0, 1):
            free, back = not pair.link.is_cut[side], not pair.link.is_cut[1 - side]
            mask = selectors.EVENT_READ if free and not pair.held[side] else 0
            mask |= selectors.EVENT_WRITE if back and pair.held[1 - side] else 0
            self._set(pair, side, mask)

    def _set(self, pair, side, mask):
        end, before, pair.masks[side] = pair.ends[side], pair.masks[side], mask
        if mask == before:
            return
        if before:
            self.selector.unregister(end)
        if mask:
            self.selector.register(end, mask, lambda got: self._carry(pair, side, got))

    def _carry(self, pair, side, mask):
        try:
            if mask & selectors.EVENT_WRITE:
                sent = pair.ends[side].send(pair.held[1 - side])
                pair.held[1 - side] = pair.held[1 - side][sent:]
            if mask & selectors.EVENT_READ:
                pair.held[side] = pair.ends[side].recv(PIECE)
                if not pair.held[side]:
                    raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            self.close(pair)
            return
        self.watch(pair)

    def close(self, pair):
        for side in (0, 1):
            self._set(pair, side, 0)
            pair.ends[side].close()
        pair.link.pairs.discard(pair)
