/* A pairing heap, without recursion: whoever fills it may do so from outside. */
#include "base/heap.h"

/* Both are roots, or NULL. */
static HeapNode *meld(HeapNode *a, HeapNode *b, HeapBefore *before)
{
    if (a == NULL || b == NULL) {
        return a != NULL ? a : b;
    }
    HeapNode *first = before(b, a) ? b : a;
    HeapNode *second = first == a ? b : a;
    second->prev = first;
    second->next = first->child;
    if (first->child != NULL) {
        first->child->prev = second;
    }
    first->child = second;
    return first;
}

static HeapNode *cut_first(HeapNode **siblings)
{
    HeapNode *node = *siblings;
    if (node != NULL) {
        *siblings = node->next;
        node->next = NULL;
        node->prev = NULL;
    }
    return node;
}

/* In pairs, and then those from the last to the first. */
static HeapNode *meld_siblings(HeapNode *siblings, HeapBefore *before)
{
    HeapNode *pairs = NULL;
    while (siblings != NULL) {
        HeapNode *a = cut_first(&siblings);
        HeapNode *b = cut_first(&siblings);
        HeapNode *pair = meld(a, b, before);
        pair->next = pairs;
        pairs = pair;
    }
    HeapNode *root = NULL;
    while (pairs != NULL) {
        HeapNode *pair = cut_first(&pairs);
        root = meld(root, pair, before);
    }
    return root;
}

void heap_add(HeapNode **heap, HeapNode *node, HeapBefore *before)
{
    *node = (HeapNode){0};
    *heap = meld(*heap, node, before);
}

void heap_remove(HeapNode **heap, HeapNode *node, HeapBefore *before)
{
    HeapNode *rest = meld_siblings(node->child, before);
    if (node == *heap) {
        *heap = rest;
    } else {
        if (node->prev->child == node) {
            node->prev->child = node->next;
        } else {
            node->prev->next = node->next;
        }
        if (node->next != NULL) {
            node->next->prev = node->prev;
        }
        *heap = meld(*heap, rest, before);
    }
    *node = (HeapNode){0};
}
