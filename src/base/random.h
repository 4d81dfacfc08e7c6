/* Randomness from the kernel: getrandom(2). */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Fills data. Never fails once the system is up; aborts where the kernel has no getrandom. */
void random_bytes(void *data, size_t len);
uint64_t random_u64(void);
