/* Redis: XADD to one stream. How durable that is, its configuration says (appendfsync). */
#include "publish.h"

#include <string.h>

static void redis_hello(Writer *writer)
{
    writer_ready(writer);
}

/* "$15\r\n1700000000000-0\r\n" for each, in order; or "-ERR ...". */
static size_t redis_parse(Writer *writer, char *bytes, size_t len)
{
    size_t used = 0;
    for (;;) {
        char *line = bytes + used;
        char *end = memchr(line, '\n', len - used);
        if (end == NULL) {
            return used;
        }
        if (*line == '-') {
            *end = '\0';
            writer_refused(writer, writer->done, line);
        } else if (*line == '$') {
            end = memchr(end + 1, '\n', (size_t)(bytes + len - end - 1));
            if (end == NULL) {
                return used;
            }
            writer_acknowledged(writer, writer->done);
        }
        used = (size_t)(end - bytes) + 1;
    }
}

static void redis_publish(Writer *writer, uint64_t number, const char *payload, size_t len)
{
    (void)number;
    connection_put_text(&writer->connection,
                        "*5\r\n$4\r\nXADD\r\n$4\r\nroom\r\n$1\r\n*\r\n$1\r\nm\r\n$%zu\r\n", len);
    connection_put(&writer->connection, payload, len);
    connection_put(&writer->connection, "\r\n", 2);
}

const Protocol PUBLISH_REDIS = {.name = "redis",
                                .port = 6379,
                                .hello = redis_hello,
                                .parse = redis_parse,
                                .publish = redis_publish};
