/* bench_publish: N connections, each with W lines on their way, for so many seconds; counts those
 * that were acknowledged, and how long that took.
 *
 *   connect --> ready --> warm-up --> measured --> key=value, one line
 *
 * As soon as an acknowledgement comes, the next line goes out. */
#include "publish.h"

#include "base/mem.h"
#include "options.h"
#include "process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    READY_SECONDS = 10,
    WRITERS_MAX = 4096,
};

static const uint64_t SECOND_NS = 1000000000;

static const Protocol *const PROTOCOLS[] = {
    &PUBLISH_GRPC,
    &PUBLISH_GRPC_BATCH,
    &PUBLISH_NATS,
    &PUBLISH_REDIS,
};

/* ---- what a protocol tells ---- */

void writer_ready(Writer *writer)
{
    if (!writer->ready) {
        writer->ready = true;
        writer->bench->ready++;
    }
}

void writer_acknowledged(Writer *writer, uint64_t number)
{
    Bench *bench = writer->bench;
    writer->done++;
    bench->acknowledged++;
    histogram_add(&bench->latency, bench->read_ns - writer->sent_ns[number % IN_FLIGHT_MAX]);
}

void writer_refused(Writer *writer, uint64_t number, const char *why)
{
    writer->done++;
    if (writer->bench->refused++ == 0) {
        complain("message %" PRIu64 " was refused: %s", number, why);
    }
}

/* ---- the loop ---- */

static void writer_fill(Writer *writer)
{
    const BenchOptions *options = &writer->bench->options;
    const Protocol *protocol = options->protocol;
    char payload[PAYLOAD_MAX];
    uint64_t before = writer->sent;
    while (writer->sent - writer->done < options->in_flight &&
           (protocol->has_room == NULL || protocol->has_room(writer))) {
        if (writer->sent == before) {
            memset(payload, 'x', options->payload_bytes);
        }
        char words[40];
        int len = snprintf(words, sizeof(words), "writer %u, line %" PRIu64 " ", writer->id,
                           writer->sent);
        size_t most = options->payload_bytes;
        memcpy(payload, words, (size_t)len < most ? (size_t)len : most);
        writer->sent_ns[writer->sent % IN_FLIGHT_MAX] = now_ns();
        protocol->publish(writer, writer->sent, payload, options->payload_bytes);
        writer->sent++;
    }
    if (protocol->gather != NULL) {
        protocol->gather(writer);
    }
    connection_flush(&writer->connection);
}

static void writer_readable(Writer *writer)
{
    Bench *bench = writer->bench;
    size_t len = connection_receive(&writer->connection, bench->scratch);
    bench->read_ns = now_ns();
    if (len > 0) {
        size_t used = bench->options.protocol->parse(writer, bench->scratch, len);
        connection_keep(&writer->connection, bench->scratch + used, len - used);
    }
    if (writer->connection.fd < 0) {
        bench->closed++;
        complain("the server closed connection %u", writer->id);
    }
}

/* Looks at what comes until then; fills those that something came for. */
static void bench_run(Bench *bench, uint64_t end_ns, bool fill)
{
    for (uint64_t now = now_ns(); now < end_ns && bench->closed == 0; now = now_ns()) {
        struct epoll_event events[EVENTS_MAX];
        uint64_t left = end_ns - now;
        struct timespec wait = {
            .tv_sec = (time_t)(left / SECOND_NS),
            .tv_nsec = (long)(left % SECOND_NS),
        };
        int count = epoll_pwait2(bench->poll, events, EVENTS_MAX, &wait, NULL);
        for (int i = 0; i < count; i++) {
            Writer *writer = events[i].data.ptr;
            if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0) {
                writer_readable(writer);
            }
            if (writer->connection.fd < 0) {
                continue;
            }
            if ((events[i].events & EPOLLOUT) != 0) {
                connection_flush(&writer->connection);
            }
            if (fill) {
                writer_fill(writer);
            }
        }
        if (!fill && bench->ready == bench->options.writers) {
            return;
        }
    }
}

static void bench_connect(Bench *bench)
{
    for (unsigned i = 0; i < bench->options.writers; i++) {
        Writer *writer = &bench->writers[i];
        writer->bench = bench;
        writer->id = i;
        connection_dial(&writer->connection, &bench->options.address, bench->poll, writer, 0);
        bench->options.protocol->hello(writer);
        connection_flush(&writer->connection);
    }
    bench_run(bench, now_ns() + READY_SECONDS * SECOND_NS, false);
    if (bench->ready < bench->options.writers) {
        give_up("%u of %u connections were let in", bench->ready, bench->options.writers);
    }
}

/* ---- the figures ---- */

static double per(double sum, uint64_t count)
{
    return sum / (double)(count > 0 ? count : 1);
}

static void print_run(const Bench *bench, double seconds, const ProcessCost *before,
                      const ProcessCost *after, double own_s)
{
    const BenchOptions *options = &bench->options;
    const Histogram *latency = &bench->latency;
    uint64_t count = bench->acknowledged;
    double scheduled_ns = (double)(after->scheduled_ns - before->scheduled_ns);
    printf("label=%s proto=%s writers=%u inflight=%u msgs=%" PRIu64 " sec=%.3f msg_s=%.0f",
           options->label, options->protocol->name, options->writers, options->in_flight, count,
           seconds, (double)count / seconds);
    printf(" p50_us=%.1f p90_us=%.1f p99_us=%.1f max_us=%.1f refused=%" PRIu64 " closed=%u",
           histogram_at(latency, 0.5) / 1e3, histogram_at(latency, 0.9) / 1e3,
           histogram_at(latency, 0.99) / 1e3, (double)latency->max / 1e3, bench->refused,
           bench->closed);
    printf(" cpu_us=%.3f sched_us=%.3f srv_pct=%.0f cli_pct=%.0f rss_end=%ld\n",
           per((after->cpu_s - before->cpu_s) * 1e6, count), per(scheduled_ns / 1e3, count),
           scheduled_ns / 1e7 / seconds, own_s * 100 / seconds, after->memory_bytes);
}

static int bench_measure(Bench *bench)
{
    const BenchOptions *options = &bench->options;
    bench_connect(bench);
    for (unsigned i = 0; i < options->writers; i++) {
        writer_fill(&bench->writers[i]);
    }
    bench_run(bench, now_ns() + (uint64_t)(options->warm_up_seconds * (double)SECOND_NS), true);
    bench->latency = (Histogram){0};
    bench->acknowledged = 0;
    ProcessCost before = process_cost(options->pid);
    double own_s = own_cpu_s();
    uint64_t start = now_ns();
    bench_run(bench, start + (uint64_t)(options->seconds * (double)SECOND_NS), true);
    double seconds = (double)(now_ns() - start) / 1e9;
    own_s = own_cpu_s() - own_s;
    ProcessCost after = process_cost(options->pid);
    print_run(bench, seconds, &before, &after, own_s);
    return bench->refused > 0 || bench->closed > 0 || bench->acknowledged == 0 ? 1 : 0;
}

static void bench_free(Bench *bench)
{
    for (unsigned i = 0; i < bench->options.writers; i++) {
        Writer *writer = &bench->writers[i];
        connection_done(&writer->connection);
        buffer_free(&writer->gathered);
        buffer_free(&writer->reader.rest);
        buffer_free(&writer->h2.body);
    }
    close(bench->poll);
    mem_free(bench->writers);
    mem_free(bench->scratch);
    mem_free(bench);
}

/* ---- options ---- */

[[gnu::noreturn]] static void usage(void)
{
    fprintf(stderr,
            "usage: bench_publish -p PROTOCOL [OPTIONS]\n"
            "  PROTOCOL: grpc grpc-batch nats-js redis\n"
            "  -n connections (1)   -w messages on their way on each (64)   -s bytes of one (100)\n"
            "  -t seconds (3)       -W seconds of warm-up (0.5)\n"
            "  -H host (127.0.0.1)  -P port  -S gRPC service\n"
            "  -i pid of the server -l label  -L seconds of the whole run (55)\n");
    exit(2);
}

static const Protocol *protocol_named(const char *name)
{
    for (size_t i = 0; i < sizeof(PROTOCOLS) / sizeof(PROTOCOLS[0]); i++) {
        if (strcmp(PROTOCOLS[i]->name, name) == 0) {
            return PROTOCOLS[i];
        }
    }
    usage();
}

static unsigned number_of(const char *text, unsigned most)
{
    unsigned long number = 0;
    if (!option_number(text, most, &number)) {
        usage();
    }
    return (unsigned)number;
}

static double decimal_of(const char *text)
{
    double number = 0;
    if (!option_decimal(text, &number)) {
        usage();
    }
    return number;
}

static void option_take(BenchOptions *options, int option, const char *text)
{
    switch (option) {
    case 'p':
        options->protocol = protocol_named(text);
        break;
    case 'n':
        options->writers = number_of(text, WRITERS_MAX);
        break;
    case 'w':
        options->in_flight = number_of(text, IN_FLIGHT_MAX);
        break;
    case 's':
        options->payload_bytes = number_of(text, PAYLOAD_MAX);
        break;
    case 't':
        options->seconds = decimal_of(text);
        break;
    case 'W':
        options->warm_up_seconds = decimal_of(text);
        break;
    case 'H':
        options->address.host = text;
        break;
    case 'P':
        options->address.port = (uint16_t)number_of(text, UINT16_MAX);
        break;
    case 'S':
        options->service = text;
        break;
    case 'i':
        options->pid = (int)number_of(text, INT32_MAX);
        break;
    case 'l':
        options->label = text;
        break;
    case 'L':
        options->limit_s = number_of(text, INT32_MAX);
        break;
    default:
        usage();
    }
}

int main(int argc, char **argv)
{
    Bench *bench = mem_new(Bench);
    BenchOptions *options = &bench->options;
    *options = (BenchOptions){
        .address.host = "127.0.0.1",
        .writers = 1,
        .in_flight = 64,
        .payload_bytes = 100,
        .seconds = 3,
        .warm_up_seconds = 0.5,
        .limit_s = 55,
        .label = "",
        .service = "chat.ChatService",
    };
    int option = 0;
    while ((option = getopt(argc, argv, "p:n:w:s:t:W:H:P:S:i:l:L:")) != -1) {
        option_take(options, option, optarg);
    }
    if (options->protocol == NULL || optind != argc || options->writers == 0 ||
        options->in_flight == 0 || options->payload_bytes == 0) {
        usage();
    }
    if (options->address.port == 0) {
        options->address.port = options->protocol->port;
    }
    prepare_process(options->limit_s);
    bench->writers = mem_array(options->writers, sizeof(Writer));
    bench->scratch = mem_alloc(SCRATCH_BYTES + 1);
    snprintf(bench->authority, sizeof(bench->authority), "%.40s:%u", options->address.host,
             options->address.port);
    bench->poll = epoll_create1(0);
    if (bench->poll < 0) {
        give_up("epoll: %s", strerror(errno));
    }
    int code = bench_measure(bench);
    bench_free(bench);
    return code;
}
