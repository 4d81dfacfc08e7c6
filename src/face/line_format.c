/* Lines for terminals and pipes. */
#include "face/line_format.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static const char COLOR_OFF[] = "\033[0m";
static const char COLOR_ERROR[] = "\033[31m";
static const char COLOR_WARNING[] = "\033[33m";

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

void line_format_clock(const Message *message, int32_t utc_offset_s, char ret_text[9])
{
    enum { MS_PER_S = 1000 };
    if (message->second_of_day >= 0) {
        message_clock_text((int64_t)message->second_of_day * MS_PER_S, 0, ret_text);
    } else {
        message_clock_text(message->time_ms, utc_offset_s, ret_text);
    }
}

void line_format_message(StrBuf *out, const LineFormat *format, const Message *message)
{
    char clock[9];
    line_format_clock(message, format->utc_offset_s, clock);
    bool action = message->kind == MESSAGE_ACTION;
    strbuf_addf(out, "[%s] %s", clock, action ? "* " : "");
    add_name(out, format, message->sender);
    strbuf_add_string(out, action ? " " : ": ");
    const char *content = message_shown_content(message);
    text_sanitise(out, content, message->content_len - (size_t)(content - message->content));
    strbuf_add_char(out, '\n');
}

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

void line_format_list_row(StrBuf *out, const LineFormat *format, size_t number,
                          const LinkView *link)
{
    char address[LINK_HOST_MAX_BYTES + sizeof("[]:65535")];
    node_config_address(link->host, link->port, address, sizeof(address));
    strbuf_addf(out, "-- %zu  ", number);
    add_safe(out, address);
    strbuf_addf(out, "  %s", link_state_name(link->state));
    if (link->peer_name[0] != '\0') {
        strbuf_add_string(out, "  ");
        add_name(out, format, link->peer_name);
    }
    if (link->classic) {
        strbuf_add_string(out, "  classic");
    }
    if (link->state == LINK_UP && link->rtt_us > 0) {
        add_round_trip(out, link->rtt_us);
    }
    strbuf_add_char(out, '\n');
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

void line_format_history(StrBuf *out, const LineFormat *format, const Message *message, Kept kept,
                         const char *snippet, int64_t now_ms)
{
    (void)kept;
    (void)snippet;
    (void)now_ms;
    line_format_message(out, format, message);
}
