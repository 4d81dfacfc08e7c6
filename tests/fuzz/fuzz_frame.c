/* Frames from anybody: decoded, and where that works, put to a replica that has said hello.
 *
 * Built with libFuzzer (clang -fsanitize=fuzzer) it searches; built with fuzz_replay.c it runs over
 * files. What it must not do is crash, or leak. */
#include "core/replica.h"
#include "fuzz.h"

#include <string.h>

/* Nothing is signed by a fuzzer. */
static bool believe(const LogEvent *event)
{
    return event->is_signed;
}

static void step(Replica *replica, ReplicaInput input)
{
    ReplicaOutputs outputs = {0};
    input.mono_ms = 1000;
    input.wall_ms = INT64_C(1700000000000);
    replica_step(replica, &input, &outputs);
    uint64_t ticket = 0;
    for (size_t i = 0; i < outputs.count; i++) {
        ticket = outputs.items[i].kind == REPLICA_STORE ? outputs.items[i].ticket : ticket;
    }
    replica_outputs_done(&outputs);
    if (ticket != 0) {
        step(replica, (ReplicaInput){.kind = REPLICA_STORED, .ticket = ticket});
    }
}

/* The input is a run of frames, each behind two bytes of length, little end first. */
/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ReplicaConfig config = {.epoch = 7, .verify = believe};
    event_signer_init(&config.signer, (uint8_t[EVENT_SEED_BYTES]){1});
    Replica *replica = replica_new(&config, NULL, 0);
    step(replica, (ReplicaInput){.kind = REPLICA_LINK_UP, .link = 0});
    while (size >= 2) {
        size_t len = (size_t)data[0] | (size_t)data[1] << 8;
        data += 2;
        size -= 2;
        len = len < size ? len : size;
        step(replica, (ReplicaInput){.kind = REPLICA_FRAME, .link = 0, .data = data, .len = len});
        step(replica, (ReplicaInput){.kind = REPLICA_SENT, .link = 0});
        data += len;
        size -= len;
    }
    replica_free(replica);
    return 0;
}
