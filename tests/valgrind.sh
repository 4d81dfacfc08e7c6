#!/bin/bash
# A short session under valgrind: one node listens, another, checked, says two lines from a pipe,
# asks for the list, and leaves. Passes where both lines arrive and valgrind finds no error and no
# lost memory. (What it calls possibly lost is the library's: threads that it may still be ending,
# and a pool that is held by a pointer into its middle.)
#
# usage: tests/valgrind.sh build/chat_node
set -euo pipefail

program=$(readlink -f -- "$1")
folder=$(mktemp -d)
cd "$folder"

peer=
finish() {
    [ -z "$peer" ] || kill "$peer" 2>/dev/null || :
    [ -z "$peer" ] || wait "$peer" 2>/dev/null || :
    cd / && rm -rf -- "$folder"
}
trap finish EXIT

# Exit code 3 says that somebody has the port already.
start_peer() {
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 10000))
        printf '[]\n' >empty.json
        "$program" "$port" empty.json --name peer --headless >peer.out 2>peer.err </dev/null &
        peer=$!
        # SIGTERM leaves cleanly, so a node that is still there after a moment is listening.
        for _ in $(seq 50); do
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return 0; fi
            kill -0 "$peer" 2>/dev/null || break
            sleep 0.1
        done
        kill "$peer" 2>/dev/null || :
        wait "$peer" 2>/dev/null || :
        peer=
    done
    cat peer.err >&2
    echo "valgrind: no node could be started" >&2
    exit 1
}
start_peer

printf '[{"host": "localhost", "port": %d}]\n' "$port" >nodes.json
code=0
printf 'hello\n/list\n/me leaves\n' |
    valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect \
        --errors-for-leak-kinds=definite --error-exitcode=99 --log-file=valgrind.log \
        "$program" $((port + 1)) nodes.json --name checked >checked.out 2>checked.err || code=$?

fail() {
    printf 'valgrind: %s (exit code %d)\n' "$1" "$code"
    local file
    for file in valgrind.log checked.out checked.err peer.out peer.err; do
        printf -- '--- %s\n' "$file"
        cat "$file"
    done
    exit 1
}
[ "$code" != 99 ] || fail "it found errors"
[ "$code" = 0 ] || fail "the node did not end well"
[ ! -s valgrind.log ] || fail "it had something to say"
for _ in $(seq 50); do
    ! grep -q 'leaves' peer.out || break
    sleep 0.1
done
grep -q 'checked: hello' peer.out || fail "the first line did not arrive"
grep -q 'leaves' peer.out || fail "the second line did not arrive"
echo "valgrind: 1 passed, 0 failed"
