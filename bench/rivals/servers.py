"""How each server is started for a measurement: on a port of its own, with its data in a folder of
its own, without limits on what one connection may say, and without a log of what was said.

Debian starts some of them as services; those are left alone."""

import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
sys.path[:0] = [str(HERE.parent), str(PROJECT / "tests" / "e2e")]

import common  # noqa: E402
import bots  # noqa: E402
import harness  # noqa: E402

AS_ROOT = os.geteuid() == 0
LARGEST = 10_000


class Server:
    """program: what must be there. most: the largest room it is asked to serve in reasonable time.
    proto, publish_proto: what bench_fan and bench_publish speak to it."""

    program = None
    proto = None
    publish_proto = None
    most = LARGEST
    joining = 256  # connections that join at once
    rate = 10_000  # deliveries a second, at the moderate rate
    window = 0  # messages on their way at most; 0: as many as bench_fan thinks fit
    ordered = True  # messages of one publisher come in their order, also where it does not wait
    note = ""

    def __init__(self, name):
        self.name = name

    def path(self):
        """None where it is not installed."""
        places = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
        return shutil.which(self.program, path=places)

    def works(self):
        """Does this version know what is wanted of it?"""
        return True

    def command(self, folder, port):
        raise NotImplementedError


class Floor(Server):
    program = str(common.BUILD / "bench_floor")
    proto = "tcp"
    note = "the least: no protocol, no disk"

    def command(self, folder, port):
        return [self.path(), str(port), "120"]


class ChatNode(Server):
    program = common.CHAT_NODE

    def __init__(self, name, proto, publish_proto, note):
        super().__init__(name)
        self.proto, self.publish_proto, self.note = proto, publish_proto, note

    def command(self, folder, port):
        return [self.path(), "--headless", "--name", "bench", "--data", str(folder / "data"),
                str(port), str(common.write_nodes(folder, [port]))]


class PythonServer(Server):
    program = harness.PYTHON
    proto = "grpc"
    most = 100
    rate = 1000
    window = 32
    ordered = False
    note = ("gRPC in Python, a thread for each stream and call, so lines overtake each other; at "
            "1,000 deliveries/s")

    def command(self, folder, port):
        # ValueError, RuntimeError: no grpc for Python here.
        stubs = bots.make_stubs(folder / "stubs")
        return [self.path(), str(HERE / "python_server.py"), str(stubs), str(port), "200"]


class Nats(Server):
    program = "nats-server"
    proto = "nats"

    def command(self, folder, port):
        return [self.path(), "-a", "127.0.0.1", "-p", str(port)]


class JetStream(Server):
    program = "nats-server"
    publish_proto = "nats-js"

    def __init__(self, name, sync=None):
        super().__init__(name)
        self.sync = sync
        self.note = ("each message synced" if sync
                     else "its acknowledgement does not wait for the disk: synced every 2 minutes")

    def works(self):
        if not self.sync:
            return True
        with common.scratch() as folder:
            return subprocess.run([*self.command(folder, 4222), "-t"], check=False,
                                  capture_output=True).returncode == 0

    def command(self, folder, port):
        path = folder / "nats.conf"
        sync = f"  sync_interval: {self.sync}\n" if self.sync else ""
        path.write_text(f'listen: "127.0.0.1:{port}"\n'
                        f'jetstream {{\n  store_dir: "{folder}/data"\n{sync}}}\n')
        return [self.path(), "-c", str(path)]


class Redis(Server):
    program = "redis-server"
    proto = "redis"

    def command(self, folder, port):
        return [self.path(), "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                "--appendonly", "no", "--tcp-backlog", "4096", "--maxclients", "18000",
                "--client-output-buffer-limit", "pubsub 0 0 0", "--dir", str(folder)]


class RedisLog(Server):
    program = "redis-server"
    publish_proto = "redis"
    note = "XADD, appendfsync always"

    def command(self, folder, port):
        return [self.path(), "--bind", "127.0.0.1", "--port", str(port), "--save", "",
                "--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)]


class Mosquitto(Server):
    program = "mosquitto"
    proto = "mqtt"
    most = 1000
    note = "quality of service 0"

    def command(self, folder, port):
        path = folder / "mosquitto.conf"
        path.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
                        "max_queued_messages 0\nmax_queued_bytes 0\nset_tcp_nodelay true\n"
                        "log_type error\n" + "user root\n" * AS_ROOT)
        return [self.path(), "-c", str(path)]


class Ngircd(Server):
    program = "ngircd"
    proto = "irc"
    most = 100
    joining = 6  # it listens with a backlog of 10

    def command(self, folder, port):
        path = folder / "ngircd.conf"
        path.write_text(f"""[Global]
Name = irc.local
Info = bench
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = hi
{"ServerUID = root" if AS_ROOT else ""}
{"ServerGID = root" if AS_ROOT else ""}
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxPenaltyTime = 0
PingTimeout = 3600
[Options]
DNS = no
Ident = no
PAM = no
SyslogFacility = local1
""")
        return [self.path(), "-n", "-f", str(path)]


class Inspircd(Server):
    program = "inspircd"
    proto = "irc"
    most = 1000

    def command(self, folder, port):
        path = folder / "inspircd.conf"
        path.write_text(f"""
<server name="irc.local" description="bench" network="bench" id="00A">
<admin name="a" nick="a" email="a@localhost">
<bind address="127.0.0.1" port="{port}" type="clients">
<connect name="main" allow="*" timeout="60" pingfreq="3600" hardsendq="268435456"
 softsendq="268435456" recvq="16777216" threshold="1000000000" commandrate="1000000000"
 fakelag="no" localmax="100000" globalmax="100000" limit="100000" maxchans="100"
 resolvehostnames="no" useident="no" maxconnwarn="no">
<performance netbuffersize="65534" somaxconn="4096" softlimit="100000" clonesonconnect="no"
 quietbursts="yes">
<options defaultmodes="" splitwhois="no">
<dns server="127.0.0.1" timeout="1">
<pid file="{folder}/inspircd.pid">
<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="{folder}/inspircd.log">
""")
        return [self.path(), "--nofork", f"--config={path}"] + ["--runasroot"] * AS_ROOT


class Prosody(Server):
    program = "prosody"
    proto = "xmpp"
    most = 100
    rate = 2000
    window = 32
    note = "at 2,000 deliveries/s"

    def command(self, folder, port):
        path = folder / "prosody.cfg.lua"
        path.write_text(f"""
run_as_root = {"true" if AS_ROOT else "false"}; daemonize = false
pidfile = "{folder}/prosody.pid"; data_path = "{folder}"
network_backend = "epoll"; interfaces = {{ "127.0.0.1" }}; c2s_ports = {{ {port} }}
s2s_ports = {{}}; c2s_direct_tls_ports = {{}}; s2s_direct_tls_ports = {{}}
modules_enabled = {{ "saslauth" }}; modules_disabled = {{ "s2s", "offline", "tls" }}
c2s_require_encryption = false; allow_unencrypted_plain_auth = true
authentication = "insecure"; insecure_open_authentication = "Yes please, I know what I'm doing!"
storage = "memory"; log = {{ warn = "{folder}/prosody.log" }}
VirtualHost "localhost"
Component "conference.localhost" "muc"
  muc_room_locking = false; max_history_messages = 0; muc_room_default_history_length = 0
  muc_room_default_presence_broadcast = {{
    visitor = false; participant = false; moderator = true
  }}
""")
        return [self.path(), "--config", str(path), "-F"]


CHAT_NODE, CHAT_NODE_BATCHED, FLOOR = "chat_node", "chat_node batched", "floor"

# The rooms, in the order of the table.
ROOMS = [
    Floor(FLOOR),
    ChatNode(CHAT_NODE_BATCHED, "grpc-batch", None, "Subscribe and Publish; each message synced"),
    ChatNode(CHAT_NODE, "grpc", None, "StreamMessages and SendMessage; each message synced"),
    Nats("nats"), Redis("redis"), Mosquitto("mosquitto"), Ngircd("ngircd"), Inspircd("inspircd"),
    Prosody("prosody"), PythonServer("python"),
]
# Who says: it is kept.
LOGS = [
    ChatNode("chat_node Publish", None, "grpc-batch", "each group of messages synced"),
    ChatNode("chat_node SendMessage", None, "grpc", "each group of messages synced"),
    RedisLog("redis"), JetStream("nats JetStream"), JetStream("nats JetStream, sync", "always"),
]
