/* nodes.json from anybody: taken whole, or refused with a place and a reason. */
#include "fuzz.h"
#include "io/nodes_json.h"

#include <stdlib.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    NodesJson nodes = {0};
    char *error = NULL;
    NodesJsonSelf self = {.port = 50051};
    if (nodes_json_parse("nodes.json", (const char *)data, size, &self, &nodes, &error) == ERR_OK) {
        for (size_t i = 0; i < nodes.nodes_count; i++) {
            if (nodes.nodes[i].port == 0 || nodes.nodes[i].host[0] == '\0') {
                abort();
            }
        }
        nodes_json_done(&nodes);
    } else if (error == NULL) {
        abort();
    }
    mem_free(error);
    return 0;
}
