/* What libFuzzer calls, and fuzz_replay.c in its place. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
