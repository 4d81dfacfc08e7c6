"""Private networks, as people meet them: made, joined, left; programs; sealed rooms; and what is
refused."""

import os
import re
import stat
import time

import grpc
import pexpect
import pytest

import bots
import harness
import private


@pytest.fixture
def net(cluster):
    return private.Net(cluster)


# -------------------------------------------------------------------------------------- coming in

def test_two_commands_and_two_people_chat(net, cluster):
    """One each: `init` ends in the chat and shows an invitation, `join` ends in the chat too."""
    def run(name, *words):
        return cluster.child([harness.CHAT_NODE, *words, str(net.port(name)), "--name", name,
                              *net.args(name)], label=name)

    ann = run("ann", "init", "home")
    line = ann.wait_for(lambda: private.LINE.search("\n".join(ann.out + ann.err)),
                        "an invitation").group()
    ann.write("hello\n")
    bob = run("bob", "join", line)
    bob.wait_for(lambda: re.search(r"connected to home, \d+ messages? synced", "\n".join(bob.err)),
                 "bob to be connected")
    bob.wait_for(lambda: any("ann: hello" in row for row in bob.out), "what ann had said")
    bob.write("hi ann\n")
    ann.wait_for(lambda: any("bob: hi ann" in row for row in ann.out), "what bob said")


def test_who_starts_again_goes_by_the_same_name_and_is_not_asked(net, cluster):
    """Also the founder, whom no membership names; and at a terminal."""
    net.make("ann")
    ann = cluster.child([harness.CHAT_NODE, str(net.port("ann")), *net.args("ann")], label="ann")
    ann.wait_for(lambda: any("-- ann is here, on port" in row for row in ann.err), "ann's start")
    net.join_only("bob", net.invite("ann"))
    bob = pexpect.spawn(harness.CHAT_NODE, [str(net.port("bob")), *net.args("bob")],
                        cwd=str(cluster.folder), timeout=harness.scaled(10),
                        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"})
    bob.expect(r"-- bob is here, on port")
    assert b"Your name" not in bob.before
    bob.expect(r"connected to home")
    bob.send(b"hi\r")
    ann.wait_for(lambda: any("bob: hi" in row for row in ann.out), "what bob said")
    ann.write("hello\n")
    bob.expect(r"ann: hello")
    bob.send(b"/quit\r")
    bob.expect(pexpect.EOF)
    bob.close()


def test_an_invitation_is_not_used_up_where_the_port_is_taken(net):
    net.found("ann")
    line = net.invite("ann")
    refused = harness.tool("join", "-", str(net.port("ann")), "--name", "bob", *net.args("bob"),
                           check=False, text=line + "\n")
    assert refused.returncode == 3 and "choose another port" in refused.stderr
    assert not net.data("bob").exists()
    made = harness.tool("init", "other", str(net.port("ann")), *net.args("carl"), check=False)
    assert made.returncode == 3 and made.stdout == "" and not net.data("carl").exists()
    net.join_only("bob", line)


def test_members_link_and_talk(net):
    ann, bob = net.nodes("ann", "bob")
    ann.say("hello")
    bob.wait_content("hello")
    bob.say("hi ann")
    ann.wait_content("hi ann")
    harness.wait_equal_logs([ann, bob])


def test_what_was_said_before_comes_with_joining(net):
    ann = net.found("ann")
    for number in range(20):
        ann.say(f"line {number}")
    ann.wait_content("line 19")
    bob = net.join("bob")
    bob.wait_notice(r"connected to home, \d+ messages? synced")
    bob.wait_content("line 19")
    harness.wait_equal_logs([ann, bob])


def test_a_third_links_with_both(net):
    """It is let in by one, and told of the other; who has not heard of it yet checks its proof."""
    ann, bob = net.nodes("ann", "bob")
    carl = net.join("carl", by="bob")
    carl.wait_connected(2)
    carl.say("hello both")
    ann.wait_content("hello both")
    bob.wait_content("hello both")
    ann.command("/members")
    ann.wait_notice(r"carl .*let in by bob")


def test_who_goes_with_its_inviter_is_let_in_again_where_it_is(net):
    """With its key and what it has; who was removed itself is not."""
    ann, bob = net.nodes("ann", "bob")
    carl = net.join("carl", by="bob")
    carl.wait_connected(2)
    ann.say("before")
    carl.wait_content("before")
    ann.command("/ban bob")
    ann.wait_notice(r"carl .*is no member any more: who let it in was removed")
    # Whether the news or the end of the link is first: they are told.
    bob.wait_notice(r"this node is no member of home any more"
                    r"|does not let this node in: it was removed from this network")
    carl.wait_notice(r"nothing here says that this node is a member of home"
                     r"|does not let this node in: who has let it in was removed")
    carl.stop()
    bob.stop()
    key = net.id("carl")
    refused = net.join_only("bob", net.invite("ann"), check=False)
    assert refused.returncode == 1 and "removed from its network, for good" in refused.stderr
    net.join_only("carl", net.invite("ann"))
    assert net.id("carl") == key
    carl = net.start("carl")
    carl.wait_connected(1)
    carl.say("again")
    ann.wait_content("again")
    ann.say("welcome")
    carl.wait_content("welcome")
    assert "before" in net.ask("carl", "history").stdout
    harness.wait_equal_logs([ann, carl])


def test_a_lost_log_comes_again_though_the_inviter_was_removed(net):
    """The founder answers for whom the removed one had let in."""
    ann, bob = net.nodes("ann", "bob")
    carl = net.join("carl", by="bob")
    carl.wait_connected(2)
    bob.say("from bob")
    carl.say("from carl")
    ann.wait_content("from carl")
    carl.wait_content("from bob")
    shown = (net.data("carl") / "network").read_text()
    ann.command("/revoke bob")
    ann.wait_notice(r"1 whom bob .* had let in stays a member")
    ann.wait_notice(r"ann removed bob")
    carl.wait_notice(r"ann removed bob")
    harness.eventually(lambda: (net.data("carl") / "network").read_text() != shown,
                       "carl to have another proof")
    bob.stop()
    carl.stop()
    for file in net.data("carl").glob("log.db*"):
        file.unlink()
    carl = net.start("carl")
    carl.wait_content("from bob")
    carl.wait_content("from carl")
    carl.say("still here")
    ann.wait_content("still here")
    harness.wait_equal_logs([ann, carl])
    said = [line for line in carl.out if '"level":"error"' in line]
    assert said == []
    carl.command("/members")
    carl.wait_notice(r"carl .*let in by bob")


def test_an_invitation_lets_in_one(net):
    net.found("ann")
    line = net.invite("ann")
    assert net.join_only("bob", line).returncode == 0
    refused = net.join_only("carl", line, check=False)
    assert refused.returncode == 1
    assert "used" in refused.stderr
    assert not (net.data("carl") / "network").exists()


def test_a_damaged_line_is_told_before_anything_is_dialled(net):
    net.found("ann")
    line = net.invite("ann")
    broken = line[:-8] + ("A" if line[-8] != "A" else "B") + line[-7:]
    refused = net.join_only("bob", broken, check=False)
    assert refused.returncode != 0
    assert re.search("copied|whole|mistyped|damaged", refused.stderr)


def test_another_key_at_the_address_is_not_the_inviter(net, cluster):
    """The line of one network, and another network's node where it leads."""
    net.found("ann")
    line = net.invite("ann")
    cluster.children[-1].stop()
    other = private.Net(cluster, "other")
    other.ports["eve"] = net.port("ann")
    other.found("eve")
    refused = net.join_only("bob", line, check=False)
    assert refused.returncode == 1
    assert "not the inviter's" in refused.stderr


def test_a_member_who_was_away_comes_back_without_ceremony(net):
    """Also where the clock says that a year has gone by: no certificate grows old."""
    ann, bob = net.nodes("ann", "bob")
    bob.stop()
    ann.say("while you were away")
    ann.wait_content("while you were away")
    bob = net.start("bob")
    bob.wait_content("while you were away")


# --------------------------------------------------------------------------------------- going out

def test_who_is_revoked_is_out_everywhere(net):
    ann, bob, carl = net.nodes("ann", "bob", "carl")
    bob.say("before")
    carl.wait_content("before")
    ann.wait_content("before")
    since = len(carl.notices)
    ann.command("/revoke bob")
    carl.wait_notice(r"removed bob", since=since)
    bob.wait_notice(r"removed|no member")
    bob.say("after")
    bob.wait_notice(r"not sent|no member|removed")
    carl.say("only us")
    ann.wait_content("only us")
    assert "after" not in ann.contents() + carl.contents()
    assert "only us" not in bob.contents()
    harness.wait_equal_logs([ann, carl])
    bob.stop()
    again = net.start("bob")
    again.wait_notice(r"removed|no member")


def test_a_ban_takes_what_was_said_too(net):
    ann, bob, carl = net.nodes("ann", "bob", "carl")
    bob.say("something foul")
    carl.wait_content("something foul")
    ann.wait_content("something foul")
    ann.command("/ban bob")
    carl.wait_notice(r"removed bob")
    harness.wait_equal_logs([ann, carl])
    for node in (ann, carl):
        harness.eventually(lambda node=node: "something foul" not in
                           harness.tool("history", *node.data_args()).stdout,
                           "the line to be gone from the log")


def a_second_later():
    """The beginning of a second that no line was said in yet, as a person writes it."""
    moment = int(time.time()) + 1
    harness.eventually(lambda: time.time() > moment + 0.1, "the next second")
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def test_revoked_since_a_moment_is_what_was_said_after_it(net):
    """Of the stream that was open then, and of one that was begun later."""
    ann, bob, carl = net.nodes("ann", "bob", "carl")
    bob.say("said before")
    for node in (ann, carl):
        node.wait_content("said before")
    moment = a_second_later()
    bob.say("said after")
    carl.wait_content("said after")
    bob.stop()
    bob = net.start("bob")
    bob.wait_connected(1)
    bob.say("said in another life")
    for node in (ann, carl):
        node.wait_content("said in another life")
    ann.command(f"/revoke bob since {moment}")
    carl.wait_notice(r"removed bob .*until then stays")
    bob.wait_notice(r"removed|no member")
    harness.wait_equal_logs([ann, carl])
    for node in (ann, carl):
        said = harness.tool("history", *node.data_args()).stdout
        assert "said before" in said and "said after" not in said and "another life" not in said
    dora = net.join("dora")
    dora.wait_content("said before")
    harness.wait_equal_logs([ann, carl, dora])
    assert "said after" not in dora.contents()


def test_revoked_since_is_answered_beside_the_node(net):
    ann, bob = net.nodes("ann", "bob")
    bob.say("said before")
    ann.wait_content("said before")
    with private.Owner(net.data("ann")) as owner:
        ok, lines = owner.run("/revoke bob since soon")
        assert not ok and "a time is" in lines[0]
    done = net.ask("ann", "revoke", "bob", "--since", "1h")
    assert "bob" in done.stdout + done.stderr and "is removed" in done.stdout + done.stderr
    bob.wait_notice(r"removed|no member")
    harness.eventually(lambda: "said before" not in
                       harness.tool("history", *ann.data_args()).stdout, "the line to be gone")


def test_only_the_founder_removes(net):
    ann, bob, carl = net.nodes("ann", "bob", "carl")
    bob.command("/revoke carl")
    bob.wait_notice(r"ann")
    carl.say("still here")
    ann.wait_content("still here")


# ---------------------------------------------------------------------------------------- programs

def test_the_owner_s_programs_use_the_socket(net):
    ann, bob = net.nodes("ann", "bob")
    path = net.data("ann") / "socket"
    assert stat.S_ISSOCK(path.stat().st_mode) and path.stat().st_mode & 0o077 == 0
    with private.Owner(net.data("ann")) as owner:
        assert owner.say("from a program").success
        ok, lines = owner.run("/members")
        assert ok and any("bob" in line for line in lines)
        ok, lines = owner.run("/quit")
        assert not ok and lines
    bob.wait_content("from a program")
    assert ann.running()


def test_others_need_a_token(net):
    ann = net.found("ann")
    text = private.token(net, "ann", "ci")
    reader = private.token(net, "ann", "monitor", "--read")
    with private.Program(net, "ann", text) as program:
        assert program.say("it is built", sender="ci").success
        assert program.say("it is built again", sender="").sender == "ci"
        code, words = program.refused("hi", sender="ann")
        assert code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT), words
        with pytest.raises(grpc.RpcError) as error:
            program.mesh.Hello(program.pb.HelloRequest(node_id=bytes(16)), timeout=5)
        assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
    with private.Program(net, "ann", reader) as program:
        code, words = program.refused("hi", sender="monitor")
        assert code == grpc.StatusCode.PERMISSION_DENIED and "read" in words
        stream = program.stream()
        stream.initial_metadata()
        ann.say("look here")
        assert next(stream).content == "look here"
        net.ask("ann", "token", "revoke", "monitor")
        with pytest.raises(grpc.RpcError) as error:
            next(stream)
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    for wrong in (None, "cnt_" + "A" * 43):
        with private.Program(net, "ann", wrong) as program:
            code, _ = program.refused("hi", sender="ci")
            assert code == grpc.StatusCode.UNAUTHENTICATED
    assert text not in (net.data("ann") / "tokens").read_text()


def test_there_is_no_plaintext_port(net):
    net.found("ann")
    with bots.Bot(net.port("ann")) as bot:
        with pytest.raises(grpc.RpcError):
            bot.chat.SendMessage(bot.pb.MessageRequest(sender="x", content="y"), timeout=3)


# ------------------------------------------------------------------------------------ sealed rooms

def test_a_sealed_room_is_for_those_in_it(net):
    ann, bob, carl = net.nodes("ann", "bob", "carl")
    ann.command("/seal team")
    ann.wait_notice(r"!team")
    ann.say("before bob")
    ann.wait_content("before bob")
    ann.command("/admit bob")
    bob.wait_notice(r"let you into !team")
    bob.command("/join !team")
    bob.wait_notice(r"what you type goes to !team")
    ann.say("the plan")
    bob.wait_content("the plan")
    ann.command("/to lobby done")
    carl.wait_content("done")
    harness.wait_equal_logs([ann, bob, carl])
    assert "the plan" not in carl.contents()
    assert "before bob" not in bob.contents()
    raw = b"".join(path.read_bytes() for path in carl.data_dir.glob("log.db*"))
    assert b"plan" not in raw and b"team" not in raw
    bob.command("/search plan")
    harness.eventually(lambda: any("plan" in str(row) for row in bob.history), "a hit")
    carl.command("/search plan")
    carl.wait_notice(r"nothing|no ")


def test_what_is_said_to_one_person_is_sealed(net):
    ann, bob, carl = net.nodes("ann", "bob", "carl")
    ann.command("/msg bob for you alone")
    bob.wait_content("for you alone")
    ann.command("/to lobby done")
    carl.wait_content("done")
    harness.wait_equal_logs([ann, bob, carl])
    raw = b"".join(path.read_bytes() for path in carl.data_dir.glob("log.db*"))
    assert b"for you alone" not in raw and "for you alone" not in carl.contents()


# ------------------------------------------------------------------------------------------- files

def test_files_are_the_owner_s_alone(net):
    net.nodes("ann", "bob")
    private.token(net, "ann", "ci")
    for name in ("ann", "bob"):
        assert net.data(name).stat().st_mode & 0o077 == 0
        for path in net.data(name).iterdir():
            assert path.stat().st_mode & 0o077 == 0, path.name
    os.chmod(net.data("bob") / "network", 0o644)
    net.cluster.children[-1].stop()
    told = net.start("bob", wait=False)
    told.expected_dead = True
    assert told.wait() != 0
    assert "chmod 600" in "\n".join(told.err)


def test_init_refuses_a_directory_that_is_in_use(net, cluster):
    open_node = cluster.node(name="ann", args=("--data", str(net.data("ann"))))
    open_node.say("said in the open")
    open_node.wait_content("said in the open")
    open_node.stop()
    refused = harness.tool("init", "home", "--no-start", "--name", "ann", "--data",
                           str(net.data("ann")), check=False)
    assert refused.returncode == 1 and "--data" in refused.stderr
