"""Private networks for the tests: nodes that are made, invited and joined by the commands that
people use."""

import base64
import hashlib
import re
import socket

import bots
import harness

LINE = re.compile(r"CHAT1-[A-Z2-7]+")
LOCAL = ("--listen", "127.0.0.1")


class Net:
    """The network of one test. Its nodes' data directories are folder/NAME."""

    def __init__(self, cluster, name="home"):
        self.cluster = cluster
        self.name = name
        self.ports = {}

    def data(self, name):
        return self.cluster.folder / f"data-{name}"

    def args(self, name):
        return (*LOCAL, "--data", str(self.data(name)))

    def port(self, name):
        if name not in self.ports:
            self.ports[name] = harness.free_port()
        return self.ports[name]

    def make(self, name="ann"):
        """The founder's directory; nothing is started."""
        return harness.tool("init", self.name, str(self.port(name)), "--no-start", "--name", name,
                            "--data", str(self.data(name)))

    def start(self, name, wait=True, **options):
        """As a person would, later: no nodes.json is named."""
        node = self.cluster.node(self.port(name), None, name, wait=wait, nodes=None,
                                 args=(*options.pop("args", ()), *self.args(name)), **options)
        node.data_dir = self.data(name)
        return node

    def found(self, name="ann", **options):
        self.make(name)
        return self.start(name, **options)

    def invite(self, by, *more):
        """A line, of a node that runs or not."""
        said = harness.tool("invite", "--data", str(self.data(by)), *more)
        return LINE.search(said.stdout).group()

    def join_only(self, name, line, check=True, port=None):
        """The newcomer's directory; what the command did. The line is not in its arguments."""
        return harness.tool("join", "-", str(port or self.port(name)), "--no-start", "--name", name,
                            "--data", str(self.data(name)), check=check, text=line + "\n")

    def join(self, name, by="ann", **options):
        self.join_only(name, self.invite(by))
        return self.start(name, **options)

    def nodes(self, *names, **options):
        """A founder, and those whom it lets in: all started, linked and in step."""
        first = self.found(names[0], **options)
        nodes = [first, *(self.join(name, names[0], **options) for name in names[1:])]
        for node in nodes[1:]:
            node.wait_notice(r"connected to ")
        return nodes

    def ask(self, name, *words, check=True):
        """A command of the shell beside the node."""
        return harness.tool(*words, "--data", str(self.data(name)), check=check)

    def id(self, name):
        """The key, in hexadecimal digits, and the fingerprint."""
        said = self.ask(name, "id").stdout
        return (re.search(r"\b[0-9a-f]{64}\b", said).group(),
                re.search(r"\b[0-9a-f]{4}(?:-[0-9a-f]{4}){3}\b", said).group())


def token(net, name, program, *more):
    """Its text."""
    return re.search(r"cnt_[\w-]+", net.ask(name, "token", "add", program, *more).stdout).group()


class Program(bots.Bot):
    """A program on another machine: TLS, and a token."""

    def __init__(self, net, name, token_text=None):
        import grpc
        import chat_pb2
        import chat_pb2_grpc
        pem = net.ask(name, "id", "--certificate").stdout.encode()
        credentials = grpc.ssl_channel_credentials(pem)
        if token_text is not None:
            credentials = grpc.composite_channel_credentials(
                credentials, grpc.access_token_call_credentials(token_text))
        self.pb = chat_pb2
        self.channel = grpc.secure_channel(
            f"127.0.0.1:{net.port(name)}", credentials,
            options=(*bots.CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", "chat_node")))
        self.chat = chat_pb2_grpc.ChatServiceStub(self.channel)
        self.mesh = chat_pb2_grpc.MeshServiceStub(self.channel)


class Owner(bots.Bot):
    """A program of the node's owner: its Unix socket."""

    def __init__(self, data_dir):
        import grpc
        import chat_pb2
        import chat_pb2_grpc
        self.pb = chat_pb2
        self.channel = grpc.insecure_channel(f"unix:{data_dir / 'socket'}",
                                             options=bots.CHANNEL_OPTIONS)
        self.chat = chat_pb2_grpc.ChatServiceStub(self.channel)
        self.mesh = chat_pb2_grpc.MeshServiceStub(self.channel)
        self.node = chat_pb2_grpc.NodeServiceStub(self.channel)

    def run(self, line):
        answer = self.node.Run(self.pb.RunRequest(line=line), timeout=harness.scaled(10),
                               wait_for_ready=True)
        return answer.ok, list(answer.lines)


def dial(port, source="127.0.0.1"):
    """A plain connection, from one of this machine's addresses."""
    return socket.create_connection(("127.0.0.1", port), harness.scaled(5),
                                    source_address=(source, 0))


def invitation(line):
    """What stands in it (proto/chat.proto, Invitation)."""
    import chat_pb2
    text = line.removeprefix("CHAT1-")
    return chat_pb2.Invitation.FromString(
        base64.b32decode(text + "=" * (-len(text) % 8)))


def invitation_line(fields):
    """With the check that belongs to it."""
    fields.ClearField("check")
    bare = fields.SerializeToString()
    fields.check = hashlib.blake2b(bare, digest_size=32).digest()[:4]
    return "CHAT1-" + base64.b32encode(fields.SerializeToString()).decode().rstrip("=")
