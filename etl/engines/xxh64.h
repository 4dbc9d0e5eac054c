/* XXH64 with seed 0, after the algorithm's public description (github.com/Cyan4973/xxHash, doc/xxhash_spec.md): what the
 * package `xxhash` gives for the same bytes, so lines have one hash whoever reads them. */
#include <stdint.h>
#include <string.h>

#define XXH_1 0x9E3779B185EBCA87ULL
#define XXH_2 0xC2B2AE3D27D4EB4FULL
#define XXH_3 0x165667B19E3779F9ULL
#define XXH_4 0x85EBCA77C2B2AE63ULL
#define XXH_5 0x27D4EB2F165667C5ULL

static uint64_t xxh_rotated(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t xxh_8(const uint8_t *p) {
    uint64_t found;
    memcpy(&found, p, sizeof found);
    return found;
}

static uint64_t xxh_4(const uint8_t *p) {
    uint32_t found;
    memcpy(&found, p, sizeof found);
    return found;
}

static uint64_t xxh_round(uint64_t lane, uint64_t value) { return xxh_rotated(lane + value * XXH_2, 31) * XXH_1; }

static uint64_t xxh64(const uint8_t *p, const uint8_t *end) {
    uint64_t size = (uint64_t)(end - p), hash = XXH_5;
    if (size >= 32) {
        uint64_t lane[4] = {XXH_1 + XXH_2, XXH_2, 0, 0 - XXH_1};
        for (; end - p >= 32; p += 32)
            for (int n = 0; n < 4; n++) lane[n] = xxh_round(lane[n], xxh_8(p + 8 * n));
        hash = xxh_rotated(lane[0], 1) + xxh_rotated(lane[1], 7) + xxh_rotated(lane[2], 12) + xxh_rotated(lane[3], 18);
        for (int n = 0; n < 4; n++) hash = (hash ^ xxh_round(0, lane[n])) * XXH_1 + XXH_4;
    }
    hash += size;
    for (; end - p >= 8; p += 8) hash = xxh_rotated(hash ^ xxh_round(0, xxh_8(p)), 27) * XXH_1 + XXH_4;
    if (end - p >= 4) {
        hash = xxh_rotated(hash ^ xxh_4(p) * XXH_1, 23) * XXH_2 + XXH_3;
        p += 4;
    }
    for (; p < end; p++) hash = xxh_rotated(hash ^ *p * XXH_5, 11) * XXH_1;
    hash = (hash ^ hash >> 33) * XXH_2;
    hash = (hash ^ hash >> 29) * XXH_3;
    return hash ^ hash >> 32;
}
