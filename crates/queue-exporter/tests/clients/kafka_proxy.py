"""Kafka: PORT BROKER_PORT [CERTIFICATE KEY]: a proxy in front of a broker, which requires SASL, and TLS if it has a certificate.

The users are `me` with SCRAM and `plain` with PLAIN; both have the password `secret`.
"""
import socket
import ssl
import struct
import sys
import threading

from scramp import ScramMechanism

SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 17, 18, 36
PASSWORD = "secret"


def read_frame(stream):
    length = read(stream, 4)
    return read(stream, struct.unpack(">i", length)[0]) if len(length) == 4 else b""


def read(stream, length):
    data = b""
    while len(data) < length:
        part = stream.recv(length - len(data))
        if not part:
            return b""
        data += part
    return data


def write_frame(stream, data):
    stream.sendall(struct.pack(">i", len(data)) + data)


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def scram_server(mechanism):
    info = mechanism.make_auth_info(PASSWORD, iteration_count=4096)
    return mechanism.make_server(lambda user: info if user == "me" else None)


def authenticate(step, state, message):
    """The server's next message, and whether the client is authenticated."""
    if state["mechanism"] == "PLAIN":
        _, user, password = message.split("\0")
        return ("", (user, password) == ("plain", PASSWORD))
    if step == 0:
        state["server"] = scram_server(ScramMechanism(state["mechanism"]))
        state["server"].set_client_first(message)
        return (state["server"].get_server_first(), None)
    state["server"].set_client_final(message)
    return (state["server"].get_server_final(), True)


def serve(client, broker_port):
    broker = socket.create_connection(("127.0.0.1", broker_port))
    state, step, authenticated = {}, 0, False
    while frame := read_frame(client):
        key, version, correlation = struct.unpack_from(">hhi", frame)
        length = max(struct.unpack_from(">h", frame, 8)[0], 0)
        body = frame[10 + length :]
        response = struct.pack(">i", correlation)
        if key == SASL_HANDSHAKE:
            state["mechanism"] = body[2:].decode()
            offered = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
            error = 0 if state["mechanism"] in offered else 33
            response += struct.pack(">hi", error, len(offered)) + b"".join(map(text, offered))
            write_frame(client, response)
        elif key == SASL_AUTHENTICATE:
            flexible = version >= 2
            message = body[2:-1] if flexible else body[4:]
            try:
                message, done = authenticate(step, state, message.decode())
                error, step = (58 if done is False else 0), step + 1
                authenticated = bool(done)
            except Exception:
                message, error = "", 58
            lifetime = struct.pack(">q", 0) if version >= 1 else b""
            if flexible:
                message = bytes([0, len(message) + 1]) + message.encode()
                response = response + b"\0" + struct.pack(">h", error) + message + lifetime + b"\0"
            else:
                message = struct.pack(">hi", -1, len(message)) + message.encode()
                response += struct.pack(">h", error) + message + lifetime
            write_frame(client, response)
        elif authenticated or key == API_VERSIONS:
            write_frame(broker, frame)
            write_frame(client, read_frame(broker))
        else:
            break
    client.close()
    broker.close()


def accept(client, context, broker_port):
    try:
        serve(context.wrap_socket(client, server_side=True) if context else client, broker_port)
    except (OSError, struct.error):
        client.close()


context = None
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
while True:
    stream, _ = listener.accept()
    threading.Thread(target=accept, args=(stream, context, int(sys.argv[2])), daemon=True).start()
