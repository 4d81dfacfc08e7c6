/* bench_fan: one room, N subscribers, one who publishes; each subscriber's messages are checked for
 * loss, repeats and order, and each delivery is timed.
 *
 *   dial all --> joined --> a probe reaches each --> warm-up --> measured --> key=value, one line
 *
 * One thread, one epoll. With a rate, messages go out on time, whatever comes back; without one, a
 * message leaves the window when each subscriber has it, and the next goes out. The publisher and
 * the subscribers are one process: a message's time of sending is kept here, by its number. */
#include "fan.h"

#include "base/mem.h"
#include "options.h"
#include "process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    BURST_MAX = 512,        /* messages published before the subscribers are looked at again */
    OUT_MAX = 65536,        /* bytes that wait for the socket, then the publisher waits too */
    EVENTS_MAX = 1024,      /* of one epoll_wait */
    SLOW_BUFFER = 65536,    /* receive buffer of a slow reader: the server soon notices */
    JOIN_SECONDS = 10,      /* for the publisher, and for the probe to reach all */
    DELIVERIES_MAX = 32768, /* on their way at saturation, by default: sets the window */
    WINDOW_LEAST = 32,
    WINDOW_MOST = 1024,
};

static const uint64_t SECOND_NS = 1000000000;
static const uint64_t MILLISECOND_NS = 1000000;

static const Protocol *const PROTOCOLS[] = {
    &PROTO_TCP,   &PROTO_IRC,        &PROTO_NATS,
    &PROTO_REDIS, &PROTO_MQTT,       &PROTO_XMPP,
    &PROTO_GRPC,  &PROTO_GRPC_BATCH, &PROTO_GRPC_BATCH_UNARY,
};

/* ---- the loop ---- */

static void client_readable(Client *client)
{
    Fan *fan = client->fan;
    Connection *connection = &client->connection;
    size_t len = connection_receive(connection, fan->scratch);
    fan->read_ns = now_ns();
    if (len > 0) {
        size_t used = fan->options.protocol->parse(client, fan->scratch, len);
        connection_keep(connection, fan->scratch + used, len - used);
    }
    if (connection->fd < 0) {
        fan->closed++;
        complain("the server closed connection %d", client->id);
    }
}

/* Looks at what is there; waits at most so long for it. */
static void fan_poll(Fan *fan, uint64_t wait_ns)
{
    struct epoll_event events[EVENTS_MAX];
    if (fan->options.busy) {
        wait_ns = 0;
    }
    struct timespec wait = {
        .tv_sec = (time_t)(wait_ns / SECOND_NS),
        .tv_nsec = (long)(wait_ns % SECOND_NS),
    };
    int count = epoll_pwait2(fan->poll, events, EVENTS_MAX, &wait, NULL);
    for (int i = 0; i < count; i++) {
        Client *client = events[i].data.ptr;
        if (client->connection.fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT) != 0) {
            client_readable(client);
        }
        if (client->connection.fd >= 0 && (events[i].events & EPOLLOUT) != 0) {
            connection_flush(&client->connection);
        }
    }
}

static void fan_poll_for(Fan *fan, uint64_t time_ns)
{
    uint64_t end = now_ns() + time_ns;
    for (uint64_t now = now_ns(); now < end; now = now_ns()) {
        fan_poll(fan, end - now);
    }
}

/* ---- joining ---- */

static void client_dial(Fan *fan, int id)
{
    Client *client = &fan->clients[id];
    client->fan = fan;
    client->id = id;
    client->publishes = client == fan->publisher;
    client->slow = !client->publishes && id >= fan_counted(fan);
    connection_dial(&client->connection, &fan->options.address, fan->poll, client,
                    client->slow ? SLOW_BUFFER : 0);
    fan->options.protocol->hello(client);
    connection_flush(&client->connection);
}

static void fan_join(Fan *fan)
{
    const FanOptions *options = &fan->options;
    uint64_t start = now_ns();
    client_dial(fan, options->subscribers);
    while (fan->joined < 1 && now_ns() - start < JOIN_SECONDS * SECOND_NS) {
        fan_poll(fan, 50 * MILLISECOND_NS);
    }
    if (fan->joined < 1) {
        give_up("the publisher was not let in");
    }
    for (int id = 0; id < options->subscribers; id++) {
        client_dial(fan, id);
        while (id + 2 - fan->joined > options->joining && fan->closed == 0) {
            fan_poll(fan, 50 * MILLISECOND_NS);
        }
        fan_poll(fan, 0);
    }
    while (fan->joined < options->subscribers + 1 && fan->closed == 0) {
        fan_poll(fan, 50 * MILLISECOND_NS);
    }
}

/* ---- publishing ---- */

static void number_write(char *digits, uint32_t number)
{
    for (int i = NUMBER_DIGITS - 1; i >= 0; i--) {
        digits[i] = "0123456789abcdef"[number & 15];
        number >>= 4;
    }
}

static void fan_publish(Fan *fan, char kind)
{
    fan->payload[0] = kind;
    number_write(fan->payload + 1, kind == 'M' ? fan->next : 0);
    if (kind == 'M') {
        fan->arrived[fan->next % WINDOW_MAX] = 0;
        fan->sent_ns[fan->next % WINDOW_MAX] = now_ns();
        fan->next++;
    }
    fan->options.protocol->publish(fan->publisher, fan->payload);
}

static void fan_flush(Fan *fan)
{
    if (fan->options.protocol->gather != NULL) {
        fan->options.protocol->gather(fan->publisher);
    }
    connection_flush(&fan->publisher->connection);
}

static bool fan_has_room(const Fan *fan)
{
    const Protocol *protocol = fan->options.protocol;
    return fan->publisher->connection.out.len < OUT_MAX &&
           (protocol->has_room == NULL || protocol->has_room(fan->publisher));
}

/* Whether each subscriber has heard the publisher. */
static bool fan_probe(Fan *fan)
{
    uint64_t start = now_ns();
    uint64_t last = 0;
    while (fan->heard < fan_counted(fan) && fan->closed == 0) {
        uint64_t now = now_ns();
        if (now - start > JOIN_SECONDS * SECOND_NS) {
            return false;
        }
        if (now - last > SECOND_NS / 5 && fan_has_room(fan)) {
            fan_publish(fan, 'P');
            fan_flush(fan);
            last = now;
        }
        fan_poll(fan, 20 * MILLISECOND_NS);
    }
    fan_poll_for(fan, SECOND_NS / 5);
    return fan->heard == fan_counted(fan);
}

/* ---- one phase: warm-up, or what is measured ---- */

typedef struct Phase {
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t count; /* instead of a time; 0: none */
    uint64_t sent;
    bool held; /* all went out when it was due */
} Phase;

static bool phase_goes_on(const Phase *phase, uint64_t now)
{
    return phase->count > 0 ? phase->sent < phase->count : now < phase->end_ns;
}

/* How many should have gone out. */
static uint64_t phase_due(const Fan *fan, const Phase *phase, uint64_t now)
{
    double rate = fan->options.rate;
    uint64_t due = UINT64_MAX;
    if (rate > 0) {
        due = (uint64_t)((double)(now - phase->start_ns) * rate / (double)SECOND_NS) + 1;
    }
    return phase->count > 0 && due > phase->count ? phase->count : due;
}

/* Publishes what is due and fits; how long there is nothing more to publish, unless something
 * comes. */
static uint64_t phase_publish(Fan *fan, Phase *phase, uint64_t now)
{
    uint64_t due = phase_due(fan, phase, now);
    unsigned burst = 0;
    while (phase->sent < due && burst < BURST_MAX && fan->next - fan->first < fan->options.window &&
           fan_has_room(fan)) {
        fan_publish(fan, 'M');
        phase->sent++;
        burst++;
    }
    if (burst > 0) {
        fan_flush(fan);
    }
    uint64_t wait = burst == BURST_MAX ? 0 : SECOND_NS / 10;
    if (fan->options.rate > 0) {
        uint64_t next = phase->start_ns +
                        (uint64_t)((double)phase->sent * (double)SECOND_NS / fan->options.rate);
        now = now_ns();
        wait = phase->sent < due ? MILLISECOND_NS : next > now ? next - now : 0;
        phase->held = phase->held && phase->sent == due;
    }
    if (phase->count == 0 && wait > phase->end_ns - now) {
        wait = phase->end_ns > now ? phase->end_ns - now : 0;
    }
    return wait;
}

/* Publishes, then waits until all has arrived, or nothing has for too long. */
static void phase_run(Fan *fan, Phase *phase, double seconds, uint64_t count)
{
    *phase = (Phase){.start_ns = now_ns(), .count = count, .held = true};
    phase->end_ns = phase->start_ns + (uint64_t)(seconds * (double)SECOND_NS);
    uint64_t patience = (uint64_t)(fan->options.patience_seconds * (double)SECOND_NS);
    uint64_t seen = fan->deliveries;
    uint64_t progress = phase->start_ns;
    fan->last_delivery_ns = phase->start_ns;
    while (fan->closed == 0) {
        uint64_t now = now_ns();
        uint64_t wait = SECOND_NS / 5;
        if (phase_goes_on(phase, now)) {
            wait = phase_publish(fan, phase, now);
        } else if (fan->first == fan->next) {
            break;
        }
        fan_poll(fan, wait);
        if (fan->deliveries != seen || fan->first == fan->next) {
            seen = fan->deliveries;
            progress = now_ns();
        } else if (now_ns() - progress > patience) {
            break; /* the rest is lost */
        }
    }
}

/* ---- the figures ---- */

typedef struct Costs {
    ProcessCost server;
    CoreTimes core;
    double own_s;
    uint64_t at_ns;
} Costs;

static Costs costs_now(const Fan *fan)
{
    return (Costs){
        .server = process_cost(fan->options.pid),
        .core = core_times(fan->options.core),
        .own_s = own_cpu_s(),
        .at_ns = now_ns(),
    };
}

typedef struct Run {
    Costs before;
    Costs after;
    long memory_empty;
    long memory_idle;
    double join_s;
    uint64_t messages;
    uint64_t lost;
    bool held;
    double seconds; /* from the first message to the last delivery */
} Run;

static double per(double sum, uint64_t count)
{
    return sum / (double)(count > 0 ? count : 1);
}

static void print_deliveries(const Fan *fan, const Run *run)
{
    const FanOptions *options = &fan->options;
    const Histogram *latency = &fan->latency;
    bool prose = options->prose;
    printf(prose ? "%s %s, %d subscribers, %d of them slow; %.0f messages/s asked, window %u\n"
                 : "label=%s proto=%s n=%d slow=%d rate=%.0f win=%u",
           options->label, options->protocol->name, options->subscribers, options->slow,
           options->rate, options->window);
    printf(prose ? "%" PRIu64 " messages, %" PRIu64 " deliveries in %.3f s: %.0f/s\n"
                 : " msgs=%" PRIu64 " deliveries=%" PRIu64 " sec=%.3f del_s=%.0f",
           run->messages, fan->deliveries, run->seconds,
           run->seconds > 0 ? (double)fan->deliveries / run->seconds : 0);
    printf(prose ? "latency in us: p50 %.1f, p90 %.1f, p99 %.1f, max %.1f\n"
                 : " p50_us=%.1f p90_us=%.1f p99_us=%.1f max_us=%.1f",
           histogram_at(latency, 0.5) / 1e3, histogram_at(latency, 0.9) / 1e3,
           histogram_at(latency, 0.99) / 1e3, (double)latency->max / 1e3);
    printf(prose ? "lost %" PRIu64 ", twice %" PRIu64 ", out of order %" PRIu64
                   ", malformed %" PRIu64 ", closed %d, calls failed %" PRIu64 ", rate held %d\n"
                 : " lost=%" PRIu64 " dup=%" PRIu64 " late=%" PRIu64 " bad=%" PRIu64
                   " closed=%d rpcerr=%" PRIu64 " held=%d",
           run->lost, fan->twice, fan->late, fan->malformed, fan->closed, fan->call_errors,
           run->held);
}

static void print_costs(const Fan *fan, const Run *run)
{
    const Costs *before = &run->before;
    const Costs *after = &run->after;
    double wall_ns = (double)(after->at_ns - before->at_ns);
    double scheduled_ns = (double)(after->server.scheduled_ns - before->server.scheduled_ns);
    double cpu_s = after->server.cpu_s - before->server.cpu_s;
    uint64_t deliveries = fan->deliveries;
    bool prose = fan->options.prose;
    printf(prose ? "server: CPU %.2f s, %.3f us/delivery (schedstat %.3f), %.0f%% of a core; "
                   "core busy %.3f us/delivery, stolen %.2f s; this program %.0f%%\n"
                 : " cpu_s=%.2f cpu_us=%.3f sched_us=%.3f srv_pct=%.0f core_us=%.3f steal_s=%.2f"
                   " cli_pct=%.0f",
           cpu_s, per(cpu_s * 1e6, deliveries), per(scheduled_ns / 1e3, deliveries),
           scheduled_ns * 100 / wall_ns,
           per((after->core.busy_s - before->core.busy_s) * 1e6, deliveries),
           after->core.stolen_s - before->core.stolen_s,
           (after->own_s - before->own_s) * 100e9 / wall_ns);
    printf(prose ? "server's memory: %ld bytes, all joined %ld: %.0f a client, at the end %ld; "
                   "joining took %.2f s\n"
                 : " rss0=%ld rss_idle=%ld idle_b=%.0f rss_end=%ld join_s=%.2f\n",
           run->memory_empty, run->memory_idle,
           (double)(run->memory_idle - run->memory_empty) / fan->options.subscribers,
           after->server.memory_bytes, run->join_s);
}

/* What the warm-up has left behind: nothing, unless messages were lost in it. */
static uint64_t fan_start_again(Fan *fan, uint32_t from)
{
    uint64_t lost = (uint64_t)(fan->next - from) * (uint64_t)fan_counted(fan) - fan->deliveries;
    fan->latency = (Histogram){0};
    fan->deliveries = fan->twice = fan->late = 0;
    fan->first = fan->next;
    return lost;
}

static int fan_measure(Fan *fan)
{
    const FanOptions *options = &fan->options;
    Run run = {.memory_empty = process_cost(options->pid).memory_bytes};
    uint64_t start = now_ns();
    fan_join(fan);
    run.join_s = (double)(now_ns() - start) / 1e9;
    fan_poll_for(fan, SECOND_NS / 2);
    run.memory_idle = process_cost(options->pid).memory_bytes;
    if (!fan_probe(fan)) {
        printf("label=%s proto=%s n=%d FAIL joined=%d heard=%d closed=%d\n", options->label,
               options->protocol->name, options->subscribers, fan->joined - 1, fan->heard,
               fan->closed);
        return 1;
    }
    Phase phase;
    if (options->warm_up_seconds > 0 && options->seconds > 0) {
        phase_run(fan, &phase, options->warm_up_seconds, 0);
        run.lost = fan_start_again(fan, 0);
    }
    uint32_t from = fan->next;
    run.before = costs_now(fan);
    phase_run(fan, &phase, options->seconds, options->messages);
    run.after = costs_now(fan);
    run.messages = fan->next - from;
    run.lost += run.messages * (uint64_t)fan_counted(fan) - fan->deliveries;
    run.held = phase.held;
    run.seconds = (double)(fan->last_delivery_ns - phase.start_ns) / 1e9;
    print_deliveries(fan, &run);
    print_costs(fan, &run);
    uint64_t faults = run.lost + fan->twice + fan->late + fan->malformed + fan->call_errors;
    return faults > 0 || fan->closed > 0 ? 1 : 0;
}

static void fan_free(Fan *fan)
{
    for (int i = 0; i <= fan->options.subscribers; i++) {
        Client *client = &fan->clients[i];
        connection_done(&client->connection);
        buffer_free(&client->gathered);
        buffer_free(&client->reader.rest);
        buffer_free(&client->h2.body);
        mem_free(client->skipped);
    }
    close(fan->poll);
    mem_free(fan->clients);
    mem_free(fan->scratch);
    mem_free(fan);
}

/* ---- options ---- */

[[gnu::noreturn]] static void usage(void)
{
    fprintf(
        stderr,
        "usage: bench_fan -p PROTOCOL [OPTIONS]\n"
        "  PROTOCOL: tcp irc nats redis mqtt xmpp grpc grpc-batch grpc-batch-unary\n"
        "  -n subscribers (1)   -z of them read nothing (0)   -s bytes of a payload (100)\n"
        "  -r messages/s, 0: as fast as it goes (0)           -w window in messages\n"
        "  -t seconds (3) or -m messages                      -W seconds of warm-up (0.5)\n"
        "  -x seconds without a delivery, then the rest is lost (5)\n"
        "  -H host (127.0.0.1)  -P port  -S gRPC service      -R calls in flight\n"
        "  -i pid of the server -c its core (0)               -l label\n"
        "  -j connections that join at once (32)              -L seconds of the whole run (55)\n"
        "  -b poll without sleeping                           -v prose, not key=value\n"
        "  -T TLS 1.3, and the token in $CHAT_TOKEN with each request of gRPC\n");
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

static unsigned long number_of(const char *text, unsigned long most)
{
    unsigned long number = 0;
    if (!option_number(text, most, &number)) {
        usage();
    }
    return number;
}

static double decimal_of(const char *text)
{
    double number = 0;
    if (!option_decimal(text, &number)) {
        usage();
    }
    return number;
}

/* What takes a number. */
static void option_take_number(FanOptions *options, int option, const char *text)
{
    unsigned long number = number_of(text, INT32_MAX);
    switch (option) {
    case 'n':
        options->subscribers = (int)number;
        break;
    case 'z':
        options->slow = (int)number;
        break;
    case 's':
        options->payload_bytes = number;
        break;
    case 'w':
        options->window = (uint32_t)number;
        break;
    case 'm':
        options->messages = number;
        break;
    case 'P':
        options->address.port = (uint16_t)number;
        break;
    case 'R':
        options->calls = (unsigned)number;
        break;
    case 'i':
        options->pid = (int)number;
        break;
    case 'c':
        options->core = (int)number;
        break;
    case 'j':
        options->joining = (int)number;
        break;
    case 'L':
        options->limit_s = (unsigned)number;
        break;
    default:
        usage();
    }
}

static void option_take(FanOptions *options, int option, const char *text)
{
    switch (option) {
    case 'p':
        options->protocol = protocol_named(text);
        break;
    case 'r':
        options->rate = decimal_of(text);
        break;
    case 't':
        options->seconds = decimal_of(text);
        break;
    case 'W':
        options->warm_up_seconds = decimal_of(text);
        break;
    case 'x':
        options->patience_seconds = decimal_of(text);
        break;
    case 'H':
        options->address.host = text;
        break;
    case 'S':
        options->service = text;
        break;
    case 'l':
        options->label = text;
        break;
    case 'b':
        options->busy = true;
        break;
    case 'T':
        options->address.tls = true;
        options->token = getenv("CHAT_TOKEN");
        break;
    case 'v':
        options->prose = true;
        break;
    default:
        option_take_number(options, option, text);
    }
}

static FanOptions options_read(int argc, char **argv)
{
    FanOptions options = {
        .address.host = "127.0.0.1",
        .subscribers = 1,
        .payload_bytes = 100,
        .seconds = 3,
        .warm_up_seconds = 0.5,
        .patience_seconds = 5,
        .joining = 32,
        .limit_s = 55,
        .label = "",
        .service = "chat.ChatService",
    };
    int option = 0;
    while ((option = getopt(argc, argv, "p:n:z:s:r:w:t:m:W:x:H:P:S:R:i:c:l:j:L:bvT")) != -1) {
        option_take(&options, option, optarg);
    }
    if (options.protocol == NULL || optind != argc || options.subscribers < 1 ||
        options.slow >= options.subscribers || options.payload_bytes < PAYLOAD_MIN ||
        options.payload_bytes > PAYLOAD_MAX) {
        usage();
    }
    if (options.address.port == 0) {
        options.address.port = options.protocol->port;
    }
    if (options.window == 0) {
        uint32_t window = DELIVERIES_MAX / (uint32_t)options.subscribers;
        options.window = window > WINDOW_MOST    ? WINDOW_MOST
                         : window < WINDOW_LEAST ? WINDOW_LEAST
                                                 : window;
    }
    if (options.window > WINDOW_MAX / 2) {
        options.window = WINDOW_MAX / 2;
    }
    return options;
}

int main(int argc, char **argv)
{
    Fan *fan = mem_new(Fan);
    fan->options = options_read(argc, argv);
    prepare_process(fan->options.limit_s);
    fan->clients = mem_array((size_t)fan->options.subscribers + 1, sizeof(Client));
    fan->publisher = &fan->clients[fan->options.subscribers];
    fan->scratch = mem_alloc(SCRATCH_BYTES + 1);
    memset(fan->payload, 'x', sizeof(fan->payload));
    snprintf(fan->authority, sizeof(fan->authority), "%.40s:%u", fan->options.address.host,
             fan->options.address.port);
    fan->poll = epoll_create1(0);
    if (fan->poll < 0) {
        give_up("epoll: %s", strerror(errno));
    }
    int code = fan_measure(fan);
    fan_free(fan);
    return code;
}
