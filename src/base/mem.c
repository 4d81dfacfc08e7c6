/* Allocation that cannot fail, and shared bytes. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct Bytes {
    atomic_uint refs;
    size_t len;
    uint8_t data[];
};

[[gnu::noreturn]] static void mem_exhausted(size_t size)
{
    fprintf(stderr, "chat_node: out of memory (%zu bytes asked for)\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    return mem_array(1, size);
}

void *mem_array(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    if (memory == NULL) {
        mem_exhausted(size);
    }
    return memory;
}

void *mem_resize(void *old, size_t count, size_t size)
{
    void *memory = reallocarray(old, count, size);
    if (memory == NULL && count > 0 && size > 0) {
        mem_exhausted(size);
    }
    return memory;
}

char *mem_copy_text(const char *text, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (len > 0) {
        memcpy(copy, text, len);
    }
    return copy;
}

char *mem_copy_string(const char *text)
{
    return mem_copy_text(text, strlen(text));
}

void mem_free(void *memory)
{
    free(memory);
}

Bytes *bytes_new_empty(size_t len)
{
    Bytes *bytes = mem_alloc(sizeof(*bytes) + len);
    atomic_init(&bytes->refs, 1);
    bytes->len = len;
    return bytes;
}

Bytes *bytes_new(const void *data, size_t len)
{
    Bytes *bytes = bytes_new_empty(len);
    if (len > 0) {
        memcpy(bytes->data, data, len);
    }
    return bytes;
}

uint8_t *bytes_fill(Bytes *bytes)
{
    return bytes->data;
}

Bytes *bytes_ref(Bytes *bytes)
{
    atomic_fetch_add_explicit(&bytes->refs, 1, memory_order_relaxed);
    return bytes;
}

void bytes_unref(Bytes *bytes)
{
    if (bytes != NULL && atomic_fetch_sub_explicit(&bytes->refs, 1, memory_order_acq_rel) == 1) {
        mem_free(bytes);
    }
}

const uint8_t *bytes_data(const Bytes *bytes)
{
    return bytes->data;
}

size_t bytes_len(const Bytes *bytes)
{
    return bytes->len;
}
