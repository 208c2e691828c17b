/* One number for the layout of the records that Python passes to a library. Python computes the same number from its
   own definitions and calls no library whose number differs: such a library would read and write at wrong addresses. */

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    uint64_t offset, size;
} LayoutEntry;

/* Each record is listed before its fields, and the fields in their order, under the names that Python gives them. */
#define LAYOUT_CALLS(VERSION) {"calls", VERSION, 0}
#define LAYOUT_RECORD(TYPE) {#TYPE, 0, sizeof(TYPE)}
#define LAYOUT_FIELD(TYPE, NAME) {#NAME, offsetof(TYPE, NAME), sizeof(((TYPE *)0)->NAME)}

/* FNV-1a, 64 bits (Fowler, Noll and Vo), of each name with its final zero, offset and size in little-endian bytes. */
static uint64_t layout_number(const LayoutEntry *entries, size_t count) {
    const uint64_t prime = 0x100000001b3;
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < count; i++) {
        for (const char *c = entries[i].name;; c++) {
            hash = (hash ^ (uint8_t)*c) * prime;
            if (!*c) break;
        }
        for (int bit = 0; bit < 64; bit += 8) hash = (hash ^ (uint8_t)(entries[i].offset >> bit)) * prime;
        for (int bit = 0; bit < 64; bit += 8) hash = (hash ^ (uint8_t)(entries[i].size >> bit)) * prime;
    }
    return hash;
}
