/* A heap of things that hold their own place in it: the first is at hand, and any can be taken out.
 *
 * A pairing heap (Fredman, Sedgewick, Sleator, Tarjan: "The pairing heap: a new form of
 * self-adjusting heap", Algorithmica 1, 1986): adding is one comparison, taking out is O(log n) on
 * average over many, and nothing is allocated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Part of the thing; zeroed while it is in no heap. */
typedef struct HeapNode {
    struct HeapNode *child;
    struct HeapNode *next; /* the younger sibling */
    struct HeapNode *prev; /* the elder sibling; of the eldest: the parent */
} HeapNode;

/* Does a come before b? What it looks at may not change while they are in the heap. */
typedef bool HeapBefore(const HeapNode *a, const HeapNode *b);

/* The thing that a node is part of. */
#define HEAP_OWNER(node, Type, member) ((Type *)(void *)((char *)(node)-offsetof(Type, member)))

/* A heap is its first node; NULL: empty. */
void heap_add(HeapNode **heap, HeapNode *node, HeapBefore *before);
/* node is in the heap. */
void heap_remove(HeapNode **heap, HeapNode *node, HeapBefore *before);
