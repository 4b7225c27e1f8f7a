"""A persistent command for the tests: answers frames until told otherwise.

Payloads: {"do": "echo", "value": v}, "pid", "error", "progress", "exit", "garbage", "hang", "twice", "aside", "later".
One that is longer than 1,100,000 bytes is answered before it was read.
"""

import os
import signal
import struct
import sys

import msgpack


def read_frame():
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    if length > 1100000:
        return {"payload": {"do": "echo", "value": "hasty"}}
    return msgpack.unpackb(sys.stdin.buffer.read(length))


def write_frame(*messages):
    for body in map(msgpack.packb, messages):
        sys.stdout.buffer.write(struct.pack(">I", len(body)) + body)
    sys.stdout.buffer.flush()


def answer(request):
    payload = request["payload"]
    if isinstance(payload, bytes):
        return {"result": [request["content_type"], len(payload)]}
    what = payload["do"]
    if what == "echo":
        return {"result": payload["value"]}
    if what == "pid":
        return {"result": [os.getpid(), request["id"], request["index"], request["attempt"], request["type"]]}
    if what == "twice":
        write_frame({"result": "said"}, {"result": "again"})
        return None
    if what == "aside":
        write_frame({"result": "said"}, {"log": "not asked for"})
        return None
    if what == "later":
        write_frame({"result": "said"})
        write_frame({"result": "again"})
        with open(payload["path"], "w", encoding="utf-8"):
            return None
    if what == "error":
        return {"error": {"code": "sorry", "text": "as asked", "permanent": True}}
    if what == "progress":
        write_frame({"progress": 500, "text": str(os.getpid())})
        write_frame({"log": "half way"})
        write_frame({"emit": [1, "a"]})
        print("to stderr", file=sys.stderr, flush=True)
        return {"result": None}
    if what == "exit":
        print("going", file=sys.stderr, flush=True)
        os._exit(payload["code"])
    if what == "garbage":
        sys.stdout.buffer.write(b"\x00\x00\x00\x01\xc1")
        sys.stdout.buffer.flush()
    if what == "huge":
        sys.stdout.buffer.write(b"\xff\xff\xff\xff")
        sys.stdout.buffer.flush()
    if what == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write_frame({"progress": 1, "text": str(os.getpid())})
    while True:
        signal.pause()


while (frame := read_frame()) is not None:
    if (message := answer(frame)) is not None:
        write_frame(message)
