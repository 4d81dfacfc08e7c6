/* Lines for terminals and pipes. */
#include "face/line_format.h"

#include "base/text.h"
#include "io/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A phone held upright. */
enum { LIST_COLUMNS = 40 };

static const char COLOR_OFF[] = "\033[0m";
static const char COLOR_ERROR[] = "\033[31m";
static const char COLOR_WARNING[] = "\033[33m";
static const char MATCH_ON[] = "\033[1m";

/* Of the 256-colour cube: all of middling lightness, so that they read on black and on white, and
 * far enough apart to tell twelve people from each other. */
static const uint8_t NAME_COLORS[] = {31, 34, 62, 97, 125, 130, 133, 136, 160, 166, 30, 64};

/* Words for states; where a link is down, down_reason says why. */
static const char *const STATE_NAMES[] = {
    [LINK_WAITING] = "waiting", [LINK_CONNECTING] = "connecting",
    [LINK_UP] = "up",           [LINK_SELF] = "self",
    [LINK_TWIN] = "twin",
};

const char *link_state_name(LinkState state)
{
    return STATE_NAMES[state];
}

static void add_safe(StrBuf *out, const char *text)
{
    text_sanitise(out, text, strlen(text));
}

/* FNV-1a: the same name has the same colour on every screen. */
static uint8_t name_color(const char *name)
{
    uint32_t hash = 2166136261U;
    for (const char *at = name; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * 16777619U;
    }
    return NAME_COLORS[hash % sizeof(NAME_COLORS)];
}

static void add_name(StrBuf *out, const LineFormat *format, const char *name)
{
    if (format->color) {
        strbuf_addf(out, "\033[38;5;%dm", name_color(name));
    }
    add_safe(out, name);
    if (format->color) {
        strbuf_add_string(out, COLOR_OFF);
    }
}

/* Who speaks: "bob", or "bob~3f2a-91bc" where the name alone could mislead. */
static void add_sender(StrBuf *out, const LineFormat *format, const Message *message)
{
    add_name(out, format, message->sender);
    if (message->fingerprint[0] != '\0') {
        strbuf_addf(out, "~%s", message->fingerprint);
    }
}

void line_format_clock(const Message *message, int32_t utc_offset_s, char ret_text[9])
{
    enum { MS_PER_S = 1000 };
    if (message->second_of_day >= 0) {
        message_clock_text((int64_t)message->second_of_day * MS_PER_S, 0, ret_text);
    } else {
        message_clock_text(message->time_ms, utc_offset_s, ret_text);
    }
}

/* "#dev", "@bob", "!team" of a sealed one. */
static void add_room(StrBuf *out, const Message *message)
{
    bool signed_itself = message_is_direct(message) || message->room[0] == '!';
    strbuf_add_string(out, signed_itself ? "" : "#");
    add_safe(out, message->room);
}

/* "16:00:00", "16:00:00 late", and with a date in front of it where there is one. */
static void add_time(StrBuf *out, const LineFormat *format, const Message *message,
                     const char *date)
{
    char clock[9];
    line_format_clock(message, format->utc_offset_s, clock);
    strbuf_add_char(out, '[');
    if (date[0] != '\0') {
        strbuf_add_string(out, date);
        strbuf_add_char(out, ' ');
    }
    strbuf_add(out, clock, sizeof(clock) - 1);
    strbuf_add_string(out, message->late ? " late] " : "] ");
}

/* All that stands before the content: who, and to whom or where. */
static void add_head(StrBuf *out, const LineFormat *format, const Message *message)
{
    bool direct = message_is_direct(message);
    if (!direct && !message_is_in_lobby(message)) {
        add_room(out, message);
        strbuf_add_char(out, ' ');
    }
    strbuf_add_string(out, message->kind == MESSAGE_ACTION ? "* " : "");
    add_sender(out, format, message);
    if (direct) {
        strbuf_add_string(out, " -> ");
        add_name(out, format, message->room + 1);
    }
    strbuf_add_string(out, message->kind == MESSAGE_ACTION ? " " : ": ");
}

static void add_presence(StrBuf *out, const LineFormat *format, const Message *message)
{
    strbuf_add_string(out, "* ");
    add_sender(out, format, message);
    strbuf_add_string(out, message->kind == MESSAGE_JOIN ? " joins " : " leaves ");
    add_room(out, message);
}

static bool is_said(const Message *message)
{
    return message->kind == MESSAGE_TEXT || message->kind == MESSAGE_ACTION;
}

static void add_content(StrBuf *out, const Message *message)
{
    const char *content = message_shown_content(message);
    text_sanitise(out, content, message->content_len - (size_t)(content - message->content));
}

void line_format_message(StrBuf *out, const LineFormat *format, const Message *message)
{
    add_time(out, format, message, "");
    if (is_said(message)) {
        add_head(out, format, message);
        add_content(out, message);
    } else {
        add_presence(out, format, message);
    }
    strbuf_add_char(out, '\n');
}

/* ---- history ---- */

typedef struct Date {
    char text[sizeof("-2147481748-12-31")]; /* as long as a year can be */
} Date;

static Date date_of(int64_t time_ms, int32_t utc_offset_s)
{
    enum { MS_PER_S = 1000 };
    time_t second = (time_t)(time_ms / MS_PER_S + utc_offset_s);
    struct tm local = {0};
    Date date = {0};
    gmtime_r(&second, &local);
    strftime(date.text, sizeof(date.text), "%Y-%m-%d", &local);
    return date;
}

/* A sender may write the marks too. They are taken in pairs, so that nothing stays open behind the
 * text, and one that has no partner is shown as what it is. */
static void add_snippet(StrBuf *out, const LineFormat *format, const char *snippet)
{
    static const char marks[] = STORE_MATCH_OPEN STORE_MATCH_CLOSE;
    bool open = false;
    while (*snippet != '\0') {
        size_t plain = strcspn(snippet, marks);
        text_sanitise(out, snippet, plain);
        snippet += plain;
        if (*snippet == '\0') {
            break;
        }
        if ((*snippet == STORE_MATCH_OPEN[0]) != open) {
            open = !open;
            strbuf_add_string(out, !format->color ? "*" : (open ? MATCH_ON : COLOR_OFF));
        } else {
            text_sanitise(out, snippet, 1);
        }
        snippet++;
    }
    if (open) {
        strbuf_add_string(out, format->color ? COLOR_OFF : "*");
    }
}

static void add_kept(StrBuf *out, Kept kept)
{
    if (kept.known == 0) {
        return; /* alone, it has nobody to give it to */
    }
    if (kept.by == 0) {
        strbuf_add_string(out, "  (kept here only)");
    } else if (kept.by < kept.known) {
        strbuf_addf(out, "  (kept by %zu of %zu)", kept.by, kept.known);
    } else if (kept.known == 1) {
        strbuf_add_string(out, "  (kept by the other)");
    } else {
        strbuf_addf(out, "  (kept by all %zu)", kept.known);
    }
}

void line_format_history(StrBuf *out, const LineFormat *format, const Message *message, Kept kept,
                         const char *snippet, int64_t now_ms)
{
    Date today = date_of(now_ms, format->utc_offset_s);
    Date date = date_of(message->time_ms, format->utc_offset_s);
    if (message->place[0] != '\0') {
        add_safe(out, message->place);
        strbuf_add_string(out, "  ");
    }
    add_time(out, format, message, strcmp(date.text, today.text) != 0 ? date.text : "");
    if (!is_said(message)) {
        add_presence(out, format, message);
    } else {
        add_head(out, format, message);
        if (snippet != NULL && snippet[0] != '\0') {
            add_snippet(out, format, snippet);
        } else {
            add_content(out, message);
        }
    }
    if (message->own) {
        add_kept(out, kept);
    }
    strbuf_add_char(out, '\n');
}

/* ---- notices ---- */

static const char *notice_color(const LineFormat *format, NoticeLevel level)
{
    if (!format->color || level == NOTICE_INFO) {
        return "";
    }
    return level == NOTICE_ERROR ? COLOR_ERROR : COLOR_WARNING;
}

void line_format_notice(StrBuf *out, const LineFormat *format, NoticeLevel level, const char *text)
{
    const char *color = notice_color(format, level);
    do {
        size_t len = strcspn(text, "\n");
        strbuf_addf(out, "%s-- ", color);
        text_sanitise(out, text, len);
        strbuf_addf(out, "%s\n", color[0] != '\0' ? COLOR_OFF : "");
        text += len + (text[len] == '\n' ? 1 : 0);
    } while (*text != '\0');
}

/* ---- the list ---- */

static void add_round_trip(StrBuf *out, uint32_t rtt_us)
{
    enum { US_PER_MS = 1000 };
    if (rtt_us < US_PER_MS) {
        strbuf_addf(out, "  %u us", rtt_us);
    } else {
        strbuf_addf(out, "  %.1f ms", (double)rtt_us / US_PER_MS);
    }
}

static void add_detail(StrBuf *out, const char *text)
{
    strbuf_add_string(out, "--    ");
    add_safe(out, text);
    strbuf_add_char(out, '\n');
}

static void add_list_details(StrBuf *out, const LinkView *link)
{
    AUTO_STRBUF StrBuf detail = {0};
    if (link->down_reason[0] != '\0') {
        add_detail(out, link->down_reason);
    }
    if (link->state == LINK_WAITING) {
        strbuf_addf(&detail, "next try in %.1f s", (double)link->retry_in_ms / 1000);
    }
    if (link->queued_lines > 0) {
        strbuf_addf(&detail, "%s%zu line%s", detail.len > 0 ? ", " : "", link->queued_lines,
                    link->queued_lines == 1 ? " waits" : "s wait");
    }
    if (detail.len > 0) {
        add_detail(out, detail.text);
    }
    if (link->refused_lines > 0) {
        strbuf_addf(out, "--    %zu line%s found the queue full\n", link->refused_lines,
                    link->refused_lines == 1 ? "" : "s");
    }
}

static bool tells_standing(const LinkView *link)
{
    return link->state == LINK_UP && !link->classic;
}

static void add_behind(StrBuf *out, const LinkView *link)
{
    strbuf_addf(out, "behind by %" PRIu64, link->here_lacks);
    if (link->events_per_s > 0) {
        strbuf_addf(out, ", %" PRIu32 "/s", link->events_per_s);
    }
}

/* How the two logs stand to each other; nothing of a node that keeps none, or is away. */
static void add_standing(StrBuf *out, const LinkView *link)
{
    if (!tells_standing(link)) {
        return;
    }
    if (!link->meshed) {
        strbuf_add_string(out, "linking");
    } else if (link->here_lacks > 0) {
        add_behind(out, link);
    } else if (link->peer_lacks > 0) {
        strbuf_addf(out, "gets %" PRIu64 " more", link->peer_lacks);
    } else {
        strbuf_add_string(out, "in step");
    }
}

static void add_list_line(StrBuf *out, const LineFormat *format, size_t number,
                          const LinkView *link)
{
    char address[LINK_HOST_MAX_BYTES + sizeof("[]:65535")];
    if (link->port != 0) {
        node_config_address(link->host, link->port, address, sizeof(address));
    } else { /* who has dialled us: the port is in it already */
        snprintf(address, sizeof(address), "%s", link->host);
    }
    strbuf_addf(out, "-- %zu  %s", number, link->incoming ? "from " : "");
    add_safe(out, address);
    strbuf_addf(out, "  %s", link_state_name(link->state));
    if (link->peer_name[0] != '\0') {
        strbuf_add_string(out, "  ");
        add_name(out, format, link->peer_name);
    }
    if (link->fingerprint[0] != '\0') {
        strbuf_addf(out, "  %s", link->fingerprint);
    }
    if (link->classic) {
        strbuf_add_string(out, "  classic");
    }
    if (link->state == LINK_UP && link->rtt_us > 0) {
        add_round_trip(out, link->rtt_us);
    }
}

/* Is there room for the standing, and two spaces, behind the line? */
static bool fits_line(size_t number, const LinkView *link, const StrBuf *standing)
{
    static const LineFormat plain = {.color = false}; /* colours take no columns */
    AUTO_STRBUF StrBuf line = {0};
    add_list_line(&line, &plain, number, link);
    return text_width(line.text, line.len) + 2 + standing->len <= LIST_COLUMNS;
}

void line_format_list_row(StrBuf *out, const LineFormat *format, size_t number,
                          const LinkView *link)
{
    AUTO_STRBUF StrBuf standing = {0};
    add_standing(&standing, link);
    bool fits = standing.len > 0 && fits_line(number, link, &standing);
    add_list_line(out, format, number, link);
    if (fits) {
        strbuf_addf(out, "  %s", standing.text);
    }
    strbuf_add_char(out, '\n');
    if (standing.len > 0 && !fits) {
        add_detail(out, standing.text);
    }
    if (tells_standing(link) && link->meshed && link->here_lacks > 0 && link->peer_lacks > 0) {
        strbuf_addf(out, "--    gets %" PRIu64 " more\n", link->peer_lacks);
    }
    add_list_details(out, link);
}

void line_format_list_end(StrBuf *out, size_t connected, size_t total)
{
    strbuf_addf(out, "-- connected %zu/%zu\n", connected, total);
}

void line_format_lost(StrBuf *out, const LineFormat *format, uint64_t count, const char *what)
{
    char text[128];
    snprintf(text, sizeof(text), "%llu line%s not shown: %s was too slow",
             (unsigned long long)count, count == 1 ? " was" : "s were", what);
    line_format_notice(out, format, NOTICE_WARNING, text);
}
