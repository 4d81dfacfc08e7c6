/* What is shown, as lines of text: pure. Every string from outside passes the sanitiser here.
 *
 *   [16:00:00] ann: hi
 *   [16:00:02] * ann waves
 *   [16:00:03] #dev bob: in another room than the lobby
 *   [16:00:04] ann -> bob: to bob alone
 *   [16:00:05] * carl joins #dev
 *   [15:59:58 late] ann: one that others belong behind, shown when they were shown already
 *   [16:00:06] bob~3f2a-91bc: a name that is somebody else's, or looks like one
 *   -- connected to localhost:50052
 *
 * Each function adds whole lines, with "\n". */
#pragma once

#include "base/strbuf.h"
#include "core/core.h"
#include "io/bus.h"

typedef struct LineFormat {
    bool color;
    int32_t utc_offset_s; /* of the zone times are shown in, where the message has none */
} LineFormat;

/* "HH:MM:SS" and a NUL: the time a message is shown with. */
void line_format_clock(const Message *message, int32_t utc_offset_s, char ret_text[9]);

void line_format_message(StrBuf *out, const LineFormat *format, const Message *message);

/* A line of an answer to /history or /search: with its place, its date where that is not today's,
 * and, where it is an own one, how far it is.
 *
 *   5f3a91-17  [2026-11-21 16:00:00] ann: hi
 *   5f3a91-18  [16:00:00] ann: still there?  (kept by 2 of 3)
 *
 * The date is of the format's zone; how far it is, is left out where no other node is known.
 * snippet: what a search found, shown in the content's place, its matches
 * bold or, without colours, between asterisks; may be NULL. */
void line_format_history(StrBuf *out, const LineFormat *format, const Message *message, Kept kept,
                         const char *snippet, int64_t now_ms);

/* A text of several lines gives several lines. */
void line_format_notice(StrBuf *out, const LineFormat *format, NoticeLevel level, const char *text);

/* The table of /list: two columns of text beside the number, details below; made for 40 columns.
 *
 *   -- 1  localhost:50052  up  bob  312 us
 *   --    behind by 12, 3400/s              "in step" where neither lacks anything, "gets 12 more"
 *   -- 2  localhost:50053  waiting          where the other does, "linking" where that is not known
 *   --    connection refused
 *   --    next try in 3.2 s, 12 lines wait
 *   -- 3  from 192.168.1.7:50051  up  dora  in no entry of nodes.json here
 *   -- connected 1/2
 *
 * How the logs stand is on the first line where it fits there. */
void line_format_list_row(StrBuf *out, const LineFormat *format, size_t number,
                          const LinkView *link);
void line_format_list_end(StrBuf *out, size_t connected, size_t total);

/* "what" is who was too slow. */
void line_format_lost(StrBuf *out, const LineFormat *format, uint64_t count, const char *what);

/* "waiting", "connecting", ...: the words of /list in every face. */
const char *link_state_name(LinkState state);
