/* Memory: three lifetimes and nothing in between.
 *
 *   the process    mem_new, freed by its owner with mem_free
 *   one step       what a core_step returns, reset before the next
 *   shared bytes   Bytes: immutable, reference counted, from any thread
 *
 * Running out of memory aborts, here and nowhere else; in exchange everything that comes from
 * outside has a cap that is checked before anything is allocated for it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Zeroed. Never NULL. */
[[nodiscard]] void *mem_alloc(size_t size);
[[nodiscard]] void *mem_array(size_t count, size_t size);
/* Grows or shrinks; new memory is not zeroed. Never NULL unless count is 0. */
[[nodiscard]] void *mem_resize(void *old, size_t count, size_t size);
/* A copy of len bytes with a NUL behind them. */
[[nodiscard]] char *mem_copy_text(const char *text, size_t len);
[[nodiscard]] char *mem_copy_string(const char *text);
/* NULL is fine. */
void mem_free(void *memory);

#define mem_new(Type) ((Type *)mem_alloc(sizeof(Type)))

/* Hands what a pointer owns over to somebody else: the value, and the pointer is NULL after. */
#define TAKE(pointer)                                                                              \
    ({                                                                                             \
        __typeof__(pointer) *take_from_ = &(pointer);                                              \
        __typeof__(pointer) take_value_ = *take_from_;                                             \
        *take_from_ = NULL;                                                                        \
        take_value_;                                                                               \
    })

/* The struct of which member is a part. */
#define CONTAINER_OF(pointer, Type, member) ((Type *)((char *)(pointer)-offsetof(Type, member)))

/* A large array of something that is done often, and that is written before it is read. All other
 * variables begin as zero (-ftrivial-auto-var-init), whether the code says so or not. */
#define NOT_CLEARED __attribute__((uninitialized))

/* AUTO_FREE char *text = ...: freed where the scope ends, unless taken. */
static inline void mem_free_at(void *pointer)
{
    mem_free(*(void **)pointer);
}
#define AUTO_FREE __attribute__((cleanup(mem_free_at)))

/* Immutable bytes shared by reference. The count is atomic: gRPC drops its references on its own
 * threads. */
typedef struct Bytes Bytes;

/* A copy of data, with one reference. */
[[nodiscard]] Bytes *bytes_new(const void *data, size_t len);
/* Not filled yet: the caller writes len bytes through bytes_fill before anyone else sees it. */
[[nodiscard]] Bytes *bytes_new_empty(size_t len);
uint8_t *bytes_fill(Bytes *bytes);
Bytes *bytes_ref(Bytes *bytes);
/* NULL is fine. The last one frees. */
void bytes_unref(Bytes *bytes);
const uint8_t *bytes_data(const Bytes *bytes);
size_t bytes_len(const Bytes *bytes);
