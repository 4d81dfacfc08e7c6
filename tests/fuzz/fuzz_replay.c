/* Runs a fuzz target over files: so that what was once found stays found, with any compiler. */
#include "base/mem.h"
#include "fuzz.h"

#include <stdint.h>
#include <stdio.h>

enum { FILE_MAX_BYTES = 1024 * 1024 };

int main(int argc, char **argv)
{
    uint8_t *data = mem_alloc(FILE_MAX_BYTES);
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        size_t size = fread(data, 1, FILE_MAX_BYTES, file);
        fclose(file);
        uint8_t *exact = mem_alloc(size); /* so that ASan sees a read past its end */
        for (size_t at = 0; at < size; at++) {
            exact[at] = data[at];
        }
        LLVMFuzzerTestOneInput(exact, size);
        mem_free(exact);
    }
    mem_free(data);
    printf("%d files replayed\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
