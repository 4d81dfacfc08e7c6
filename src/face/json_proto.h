/* The chat as JSON, one object a line: bytes to values and back, pure.
 *
 * Out (all of ASCII: a terminal that shows it cannot be made to act):
 *   {"type":"message","time":"2026-11-22T16:00:00.123Z","clock":"16:00:00","sender":"ann",
 *    "content":"hi","kind":"text","room":"lobby","id":"5f3a91-18","own":false,"late":false,
 *    "missed":false}
 *         kind: text, action, join, part; room: "@NAME" where it is said to NAME alone
 *   {"type":"history",...}                                  a message that was asked for
 *   {"type":"kept","id":"5f3a91-18","by":2,"known":3}
 *   {"type":"notice","level":"info","text":"..."}           level: info, warning, error
 *   {"type":"list","nodes":[{"number":1,"host":"localhost","port":50052,"state":"up",
 *    "kind":"node","name":"bob","rtt_us":312,"reason":null,"retry_in_ms":null,
 *    "waiting_lines":0,"refused_lines":0,"link":"behind","peer_lacks":0,"here_lacks":12,
 *    "events_per_s":3400,"incoming":false}],"connected":1,"total":2}
 *         state: up, connecting, waiting, self, twin; kind: node, classic, unknown;
 *         link: in step, behind, ahead; it and the three numbers are null while not linked
 *   {"type":"lost","count":3}                               the reader was too slow
 *   {"type":"error","line":7,"text":"..."}                  input line 7 was not understood
 *
 * In:
 *   {"type":"message","content":"hi"}     sent as it is, a slash at its start too
 *   {"type":"message","content":"hi","room":"dev"}, or "room":"@bob"
 *   {"type":"command","line":"/list"} */
#pragma once

#include "base/strbuf.h"
#include "core/core.h"
#include "io/bus.h"

enum { JSON_LINE_MAX_BYTES = 64 * 1024 };

/* Each adds one line, with "\n". */
void json_add_message(StrBuf *out, const Message *message, int32_t utc_offset_s);
/* {"type":"history",...}: as a message, with "snippet", "kept_by" and "known" (null where it is
 * not an own one). A snippet keeps its marks, STORE_MATCH_OPEN and CLOSE. */
void json_add_history(StrBuf *out, const Message *message, Kept kept, const char *snippet,
                      int32_t utc_offset_s);
/* {"type":"kept","id":"5f3a91-18","by":2,"known":3} */
void json_add_kept(StrBuf *out, const Message *message, Kept kept);
void json_add_notice(StrBuf *out, NoticeLevel level, const char *text);
void json_add_list(StrBuf *out, const LinkView *links, size_t count, size_t connected,
                   size_t total);
void json_add_lost(StrBuf *out, uint64_t count);
void json_add_error(StrBuf *out, uint64_t line, const char *text);

/* Adds to line what node_line takes: the content with its leading slash doubled, the content behind
 * "/to ROOM " or "/msg NAME ", or the command.
 * ERR_INVALID: the input is neither; reason gets what is wrong and what to do. */
Err json_parse_input(const char *input, size_t len, StrBuf *line, StrBuf *reason);
