/* JSON lines to columns: the texts of members, and the flat members of objects, without a value for each.
 *
 * Only lines about which nothing is open are taken: whatever is not plainly JSON, or whose text needs a judgement (floats
 * of many digits, a key twice, deep nesting), is marked as odd and left to the caller, who has a slow way for every line.
 * So a check that fails here returns NULL or OUT, never an error.
 *
 * Memory: the data is whole lines, each with its line feed, and no scan passes a line feed: it is no blank here, no part
 * of a string (a control character), a number or a word. What is written goes to buffers whose sizes are given.
 *
 * Texts are Arrow string views at first: up to 12 bytes in place, else a place in buffer 0 (the data) or 1 (the side buffer,
 * for texts that do not stand in the data as they are). Rules of text and flat keys: `etl/mapping/values.py`.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "xxh64.h"

#define DEEPEST 32
#define LONGEST_PATH 4096
#define MOST_NAMES 512
#define SLOTS 4096 /* of the hash table over the wanted names; its users have at most a quarter of that */
#define LONGEST_EXPONENT 100
#define MOST_MET 256

/* What is wanted of a member. */
enum { TEXT = 0, TEXT_OF_NO_LIST = 1, MEMBERS = 2 };

typedef const uint8_t *Place;

typedef struct {
    uint32_t size;
    union {
        uint8_t inside[12];
        struct {
            uint8_t prefix[4];
            uint32_t buffer, offset;
        } outside;
    };
} View;

typedef struct {
    /* The lines: line n is data[starts[n]] up to data[starts[n + 1]], its line feed included. */
    Place data;
    const int64_t *starts;
    int64_t lines;
    /* The wanted members of the records: their names in a row, where each ends, what is wanted, and the column for it;
     * for texts also the columns of values that are read from them: `values[value_ends[n - 1]]` up to value_ends[n]. */
    Place names;
    const int32_t *name_ends;
    const int32_t *uses;
    const int32_t *columns;
    const int32_t *values; /* by column of values: how it is read */
    const int32_t *value_ends;
    int64_t wanted;
    /* Columns of texts and values have room for `lines` each (and a bit each: null or not), those of members for `room`. */
    View *whole; /* the lines that were taken */
    uint64_t *hashes; /* of them, XXH64 */
    View *texts;
    uint8_t *text_bits;
    int64_t *read; /* the values: microseconds since 1970, ints, 0 or 1, or the bits of doubles */
    uint8_t *read_bits;
    int64_t bits; /* bytes of bits of one column */
    int64_t text_columns, value_columns, member_columns;
    View *member_names, *member_values;
    int32_t *member_starts; /* lines + 1 for each column */
    int64_t room;
    uint8_t *side;
    int64_t side_room;
    uint8_t *odd; /* by line */
    /* Found: how many lines were taken, and how much of the side buffer is in use. */
    int64_t rows, side_used;
} Work;

/* A column of texts. Rows whose bit is not set have none; without `bits` all have one. `ends` has one more than there are rows,
 * and `texts` has room for one in place beyond the last. */
typedef struct {
    const View *views;
    const uint8_t *bits;
    int64_t rows;
    int32_t *ends;
    uint8_t *texts;
} TextColumn;

typedef struct {
    Place start, end;
    bool at_side;
} Text;

static Place blanks(Place p) {
    while (*p == ' ' || *p == '\t' || *p == '\r') p++;
    return p;
}

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static Place digits(Place p) {
    while (is_digit(*p)) p++;
    return p;
}

/* The end of `true`, `false` or `null`. */
static Place word(Place p) {
    const char *expected = *p == 't' ? "true" : *p == 'f' ? "false" : "null";
    for (; *expected; expected++, p++)
        if (*p != (uint8_t)*expected) return NULL;
    return p;
}

/* The closing quote of a string; `p` is behind the opening one. */
static Place closing_quote(Place p, bool *escaped) {
    *escaped = false;
    for (;; p++) {
        while (*p != '"' && *p != '\\' && *p >= ' ') p++;
        if (*p == '"') return p;
        if (*p < ' ') return NULL;
        *escaped = true;
        if (*++p < ' ') return NULL;
    }
}

/* Room for so many more bytes in the side buffer, or NULL. */
static uint8_t *aside(const Work *work, int64_t size) {
    return work->side_used + size <= work->side_room ? work->side + work->side_used : NULL;
}

static bool keep(Work *work, const uint8_t *end, Text *text) {
    text->start = work->side + work->side_used;
    text->end = end;
    text->at_side = true;
    work->side_used = end - work->side;
    return true;
}

static int32_t hexadecimal(Place p) {
    int32_t value = 0;
    for (int n = 0; n < 4; n++, p++) {
        if (is_digit(*p)) value = value * 16 + *p - '0';
        else if ((*p | 32) >= 'a' && (*p | 32) <= 'f') value = value * 16 + (*p | 32) - 'a' + 10;
        else return -1;
    }
    return value;
}

/* The code point of `\uXXXX` or a pair of them; `p` is behind the `u`. No lone surrogates, and no NUL, which not every
 * reader of texts can hold. */
static Place code_point(Place p, int32_t *value) {
    *value = hexadecimal(p);
    if (*value <= 0 || (*value >= 0xDC00 && *value < 0xE000)) return NULL;
    p += 4;
    if (*value < 0xD800 || *value > 0xDFFF) return p;
    if (p[0] != '\\' || p[1] != 'u') return NULL;
    int32_t low = hexadecimal(p + 2);
    if (low < 0xDC00 || low > 0xDFFF) return NULL;
    *value = 0x10000 + ((*value - 0xD800) << 10) + (low - 0xDC00);
    return p + 6;
}

static uint8_t *utf8(uint8_t *to, int32_t value) {
    if (value < 0x80) {
        *to++ = (uint8_t)value;
        return to;
    }
    int more = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
    *to++ = (uint8_t)((more == 1 ? 0xC0 : more == 2 ? 0xE0 : 0xF0) | value >> (6 * more));
    while (more--) *to++ = (uint8_t)(0x80 | (value >> (6 * more) & 63));
    return to;
}

/* Writes what stands between two quotes, without its escapes, which never makes it longer; where writing ended. */
static uint8_t *unescape(Place p, Place end, uint8_t *to) {
    while (p < end) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        static const char signs[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
        if (p[1] == 'u') {
            int32_t value;
            if (!(p = code_point(p + 2, &value))) return NULL;
            to = utf8(to, value);
            continue;
        }
        const char *sign = p[1] ? strchr(signs, p[1]) : NULL;
        if (!sign) return NULL;
        *to++ = (uint8_t)meant[sign - signs];
        p += 2;
    }
    return to;
}

/* A string, `p` at its quote: its end, and its text. */
static Place string(Work *work, Place p, Text *text) {
    bool escaped;
    Place end = closing_quote(p + 1, &escaped);
    if (!end) return NULL;
    *text = (Text){p + 1, end, false};
    if (escaped) {
        uint8_t *to = aside(work, end - p);
        if (!to || !(to = unescape(p + 1, end, to))) return NULL;
        keep(work, to, text);
    }
    return end + 1;
}

typedef struct {
    Place whole, point, end; /* first digit, behind the whole part, behind the number without exponent */
    bool negative;
    int32_t exponent;
} Number;

static Place number(Place p, Number *n) {
    n->negative = *p == '-';
    n->whole = p + n->negative;
    n->point = digits(n->whole);
    if (n->point == n->whole || (*n->whole == '0' && n->point > n->whole + 1)) return NULL;
    n->end = n->point;
    if (*n->point == '.') {
        n->end = digits(n->point + 1);
        if (n->end == n->point + 1) return NULL;
    }
    n->exponent = 0;
    if ((*n->end | 32) != 'e') return n->end;
    bool down = n->end[1] == '-';
    Place first = n->end + 1 + (down || n->end[1] == '+'), last = digits(first);
    if (last == first) return NULL;
    for (p = first; p < last && n->exponent <= LONGEST_EXPONENT; p++) n->exponent = n->exponent * 10 + *p - '0';
    if (n->exponent == 0) n->exponent = LONGEST_EXPONENT + 1;
    if (down) n->exponent = -n->exponent;
    return last;
}

/* The digits shifted by the exponent, without one and without zeros that say nothing. */
static bool shifted(Work *work, const Number *n, Text *text) {
    uint8_t found[16];
    int32_t count = 0, point = (int32_t)(n->point - n->whole) + n->exponent;
    for (Place p = n->whole; p < n->end; p++) {
        if (*p == '.') continue;
        if (*p == '0' && count == 0) point--; /* a zero that leads moves the point and is no digit */
        else found[count++] = *p;
    }
    while (count && found[count - 1] == '0') count--;
    uint8_t *to = aside(work, 2 * LONGEST_EXPONENT + 64);
    if (!to || !count) return false;
    if (n->negative) *to++ = '-';
    if (point <= 0) *to++ = '0';
    for (int32_t at = 0; at < point; at++) *to++ = at < count ? found[at] : '0';
    if (point < count) *to++ = '.';
    for (int32_t at = point; at < 0; at++) *to++ = '0';
    for (int32_t at = point > 0 ? point : 0; at < count; at++) *to++ = found[at];
    return keep(work, to, text);
}

/* A number and its text, the shortest without an exponent. Up to 15 digits are those of the double that is read from
 * them; whole numbers up to 18 digits, and most of 19, are what an int of 64 bits holds. */
static Place number_text(Work *work, Place p, Text *text) {
    Number n;
    Place end = number(p, &n);
    if (!end) return NULL;
    int64_t size = n.end - n.whole;
    bool zero = *n.whole == '0' && n.point == n.whole + 1;
    *text = (Text){p, n.end, false};
    if (n.end == n.point && !n.exponent) return (size < 19 || (size == 19 && *n.whole < '9')) && !(zero && n.negative) ? end : NULL;
    if (size > 16 || n.exponent > LONGEST_EXPONENT || n.exponent < -LONGEST_EXPONENT) return NULL;
    if (n.exponent) return shifted(work, &n, text) ? end : NULL;
    while (text->end[-1] == '0') text->end--;
    if (text->end[-1] == '.') {
        text->end--;
        if (zero && n.negative) return NULL;
    }
    return end;
}

/* A list of scalars as one text, `p` behind its bracket: nulls left out, the rest joined by commas. `texts`: how many
 * there are; -1 where the list holds lists or objects, and then nothing is found. */
static Place joined(Work *work, Place p, Text *text, int32_t *texts) {
    int64_t before = work->side_used;
    *texts = 0;
    p = blanks(p);
    if (*p == ']') return p + 1;
    for (;; p = blanks(p + 1)) {
        if (*p == '{' || *p == '[') *texts = -1;
        if (*texts < 0) break;
        Text one = {p, p, false};
        int64_t end = work->side_used;
        Place next = *p == '"' ? string(work, p, &one) : *p == '-' || is_digit(*p) ? number_text(work, p, &one) : word(p);
        if (!next) break;
        if (next != p && one.end == p) one.end = next; /* a word */
        if (*p != 'n') {
            /* What the element put aside is moved to behind the comma. */
            uint8_t *to = work->side + end;
            int64_t size = one.end - one.start;
            if (end + size + 1 > work->side_room) break;
            if (*texts) {
                memmove(to + 1, one.start, (size_t)size);
                *to++ = ',';
            } else memmove(to, one.start, (size_t)size);
            work->side_used = to + size - work->side;
            ++*texts;
        }
        p = blanks(next);
        if (*p == ']') {
            *text = (Text){work->side + before, work->side + work->side_used, true};
            return p + 1;
        }
        if (*p != ',') break;
    }
    work->side_used = before;
    return NULL;
}

/* What a value holds that makes its JSON text differ from compact JSON. */
enum { BLANKS = 1, REWRITTEN = 2 };

/* The colon behind a name, and the value behind that. */
static Place behind_name(Work *work, Place p, int *flags) {
    Text name;
    int64_t before = work->side_used;
    Place end = *p == '"' ? string(work, p, &name) : NULL;
    if (!end) return NULL;
    if (name.at_side) *flags |= REWRITTEN;
    work->side_used = before;
    p = blanks(end);
    if (*p != ':') return NULL;
    Place value = blanks(p + 1);
    if (p != end || value != p + 1) *flags |= BLANKS;
    return value;
}

/* The end of any value, checked to be JSON. */
static Place behind_value(Work *work, Place p, int *flags) {
    bool objects[DEEPEST];
    int depth = 0;
    int64_t before = work->side_used;
    for (;;) {
        Text text = {p, p, false};
        Number n;
        if (*p == '{' || *p == '[') {
            bool object = *p == '{';
            Place inside = blanks(p + 1);
            if (inside != p + 1) *flags |= BLANKS;
            p = inside;
            if (*p != (object ? '}' : ']')) {
                if (depth == DEEPEST) return NULL;
                objects[depth++] = object;
                if (object && !(p = behind_name(work, p, flags))) return NULL;
                continue;
            }
            p++;
        } else if (*p == '"') {
            if (!(p = string(work, p, &text))) return NULL;
            if (text.at_side) *flags |= REWRITTEN;
            work->side_used = before;
        } else if (*p == '-' || is_digit(*p)) {
            Place start = p, end = number(p, &n);
            if (!end) return NULL;
            if (number_text(work, start, &text) == NULL || text.at_side || text.end != end) *flags |= REWRITTEN;
            work->side_used = before;
            p = end;
        } else if (!(p = word(p))) return NULL;
        for (;;) {
            if (!depth) return p;
            Place end = p;
            p = blanks(p);
            if (p != end) *flags |= BLANKS;
            if (*p == ',') {
                end = p + 1;
                p = blanks(end);
                if (p != end) *flags |= BLANKS;
                if (objects[depth - 1] && !(p = behind_name(work, p, flags))) return NULL;
                break;
            }
            if (*p != (objects[depth - 1] ? '}' : ']')) return NULL;
            p++;
            depth--;
        }
    }
}

/* An object as compact JSON text. */
static Place object_text(Work *work, Place p, Text *text) {
    int flags = 0;
    Place end = behind_value(work, p, &flags);
    if (!end || flags & REWRITTEN) return NULL;
    *text = (Text){p, end, false};
    if (!(flags & BLANKS)) return end;
    uint8_t *to = aside(work, end - p);
    if (!to) return NULL;
    for (bool quoted = false; p < end; p++) {
        if (*p == '"') quoted = !quoted; /* no escapes: they would have been REWRITTEN */
        if (quoted || !(*p == ' ' || *p == '\t' || *p == '\r')) *to++ = *p;
    }
    keep(work, to, text);
    return end;
}

static void put(const Work *work, View *view, Text text) {
    view->size = (uint32_t)(text.end - text.start);
    if (view->size <= sizeof view->inside) {
        memset(view->inside, 0, sizeof view->inside);
        memcpy(view->inside, text.start, view->size);
        return;
    }
    memcpy(view->outside.prefix, text.start, 4);
    view->outside.buffer = text.at_side;
    view->outside.offset = (uint32_t)(text.start - (text.at_side ? work->side : work->data));
}

#define HASH_OF_NOTHING 0xCBF29CE484222325u
static uint64_t hashed(uint64_t hash, Place p, Place end) { /* FNV-1a */
    for (; p < end; p++) hash = (hash ^ *p) * 0x100000001B3u;
    return hash;
}

/* A container on the way to a leaf: how long the path to it is, and the hash of that path. */
typedef struct {
    bool object;
    int32_t length, position;
    uint64_t hash;
} Frame;

typedef struct {
    Frame frames[DEEPEST];
    int depth;
    uint8_t path[LONGEST_PATH];
    uint64_t names[MOST_NAMES];
    int32_t count;
} Walk;

/* Appends the step to a member or element to the path of its container. */
static bool enter(Walk *walk, Place step, Place end, bool object) {
    Frame *outer = &walk->frames[walk->depth - 1];
    if (walk->depth == DEEPEST || outer->length + (end - step) > LONGEST_PATH) return false;
    memcpy(walk->path + outer->length, step, (size_t)(end - step));
    Frame inner = {object, outer->length + (int32_t)(end - step), 0, hashed(outer->hash, step, end)};
    walk->frames[walk->depth++] = inner;
    return true;
}

/* Each flat key once, those without a leaf too: of two equal names the first counts, which is for the slow way to see. */
static bool is_new(Walk *walk, Place step, Place end) {
    uint64_t hash = hashed(walk->frames[walk->depth - 1].hash, step, end);
    for (int32_t n = 0; n < walk->count; n++)
        if (walk->names[n] == hash) return false;
    if (walk->count == MOST_NAMES) return false;
    walk->names[walk->count++] = hash;
    return true;
}

/* The step to the next value of the innermost container: `name`, `.name` or `[position]`, in `step`; and the value. */
static Place next_step(Work *work, Walk *walk, Place p, Text *step, uint8_t *room) {
    Frame *frame = &walk->frames[walk->depth - 1];
    if (!frame->object) {
        uint8_t *end = room + 16, *first = end;
        *--first = ']';
        for (int32_t n = frame->position; n || *first == ']'; n /= 10) *--first = (uint8_t)('0' + n % 10);
        *--first = '[';
        *step = (Text){first, end, true};
        return p;
    }
    if (*p != '"' || !(p = string(work, p, step)) || step->start == step->end) return NULL;
    p = blanks(p);
    if (*p != ':') return NULL;
    if (frame->length) {
        int64_t size = step->end - step->start;
        uint8_t *to = aside(work, size + 1);
        if (!to) return NULL;
        *to = '.';
        memcpy(to + 1, step->start, (size_t)size);
        keep(work, to + 1 + size, step);
    }
    return blanks(p + 1);
}

static bool leaf(Work *work, const Walk *walk, Text step, Text value, View *name_view, View *value_view) {
    const Frame *frame = &walk->frames[walk->depth - 1];
    if (frame->length) {
        int64_t size = step.end - step.start;
        uint8_t *to = aside(work, frame->length + size);
        if (!to) return false;
        memcpy(to, walk->path, (size_t)frame->length);
        memcpy(to + frame->length, step.start, (size_t)size);
        keep(work, to + frame->length + size, &step);
    }
    put(work, name_view, step);
    put(work, value_view, value);
    return true;
}

/* The leaves of an object under their flat keys, in their order; `*count` of the column's members are in use. */
static Place members(Work *work, Place p, View *names, View *values, int32_t *count) {
    Walk walk;
    walk.frames[0] = (Frame){true, 0, 0, HASH_OF_NOTHING};
    walk.depth = 1;
    walk.count = 0;
    p = blanks(p + 1);
    if (*p == '}') return p + 1;
    for (;;) {
        uint8_t room[16];
        Text step, value = {NULL, NULL, false};
        if (!(p = next_step(work, &walk, p, &step, room)) || !is_new(&walk, step.start, step.end)) return NULL;
        bool object = *p == '{';
        if (object || *p == '[') {
            int32_t texts = -1;
            Place first = blanks(p + 1), end = NULL;
            if (object ? *first == '}' : (end = joined(work, p + 1, &value, &texts)) != NULL) {
                p = object ? first + 1 : end;
                if (!texts) value.start = NULL;
            } else {
                if (texts != -1 || !enter(&walk, step.start, step.end, object)) return NULL;
                p = first;
                continue;
            }
        } else if (*p == '"') p = string(work, p, &value);
        else if (*p == '-' || is_digit(*p)) p = number_text(work, p, &value);
        else {
            value = (Text){p, word(p), false};
            p = value.end;
            if (p && *value.start == 'n') value.start = NULL;
        }
        if (!p) return NULL;
        if (value.start) {
            if (*count == work->room || !leaf(work, &walk, step, value, names + *count, values + *count)) return NULL;
            ++*count;
        }
        for (;;) {
            Frame *frame = &walk.frames[walk.depth - 1];
            p = blanks(p);
            if (*p == ',') {
                frame->position++;
                p = blanks(p + 1);
                break;
            }
            if (*p != (frame->object ? '}' : ']')) return NULL;
            p++;
            if (!--walk.depth) return p;
        }
    }
}

static int64_t number_of(Place p, int count) {
    int64_t value = 0;
    for (; count--; p++) {
        if (!is_digit(*p)) return -1;
        value = value * 10 + *p - '0';
    }
    return value;
}

/* `2022-11-21 15:42:30.394000`, with a fraction of up to six digits or none, as microseconds since 1970; for the years
 * 1000 to 2999. */
static bool date(Text text, int64_t *found) {
    Place p = text.start;
    int64_t size = text.end - p;
    if (size < 19 || size > 26 || size == 20 || p[4] != '-' || p[7] != '-' || p[10] != ' ' || p[13] != ':' || p[16] != ':') return false;
    if (size > 20 && p[19] != '.') return false;
    int64_t year = number_of(p, 4), month = number_of(p + 5, 2), day = number_of(p + 8, 2), hour = number_of(p + 11, 2);
    int64_t minute = number_of(p + 14, 2), second = number_of(p + 17, 2), micros = size > 20 ? number_of(p + 20, (int)size - 20) : 0;
    if (year < 1000 || year > 2999 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23) return false;
    if (minute < 0 || minute > 59 || second < 0 || second > 59 || micros < 0) return false;
    for (; size > 20 && size < 26; size++) micros *= 10;
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > days[month - 1] + (month == 2 && leap)) return false;
    /* Days of the civil calendar, years beginning in March (Howard Hinnant, "chrono-compatible date algorithms"). */
    int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t since = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    *found = (((since * 24 + hour) * 60 + minute) * 60 + second) * 1000000 + micros;
    return true;
}

/* Digits with a sign or none, up to 18. */
static bool whole_number(Text text, int64_t *found) {
    bool negative = *text.start == '-';
    int64_t count = text.end - text.start - negative;
    if (count < 1 || count > 18) return false;
    *found = number_of(text.start + negative, (int)count);
    if (*found < 0 || (negative && !*found)) return false;
    if (negative) *found = -*found;
    return true;
}

/* Up to 15 digits with or without a point: their quotient by a power of ten that a double holds exactly is the double
 * nearest to them (Clinger, "How to read floating point numbers accurately"). */
static bool real_number(Text text, int64_t *found) {
    static const double tens[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool negative = *text.start == '-';
    Place p = text.start + negative, point = NULL;
    if (text.end - p < 1 || text.end - p > 16) return false;
    int64_t digits = 0;
    int32_t count = 0, behind = 0;
    for (; p < text.end; p++) {
        if (*p == '.' && !point) {
            point = p;
            continue;
        }
        if (!is_digit(*p)) return false;
        digits = digits * 10 + *p - '0';
        count++;
        behind += point != NULL;
    }
    if (count < 1 || count > 15 || (point && !behind) || (negative && !digits)) return false;
    double value = (double)digits / tens[behind];
    if (negative) value = -value;
    memcpy(found, &value, sizeof value);
    return true;
}

static bool is_among(Text text, const char *const words[6]) {
    for (int n = 0; n < 6; n++)
        if (strlen(words[n]) == (size_t)(text.end - text.start) && !memcmp(words[n], text.start, strlen(words[n]))) return true;
    return false;
}

static bool truth(Text text, int64_t *found) {
    static const char *const yes[6] = {"true", "True", "TRUE", "t", "T", "1"}, *const no[6] = {"false", "False", "FALSE", "f", "F", "0"};
    *found = is_among(text, yes);
    return *found || is_among(text, no);
}

/* How the value of a text is read. Every text that is not empty has one, or the line is odd. */
enum { DATE = 0, INT = 1, NUMBER = 2, BOOL = 3 };

static bool read_value(Text text, int32_t kind, int64_t *found) {
    switch (kind) {
        case DATE: return date(text, found);
        case INT: return whole_number(text, found);
        case NUMBER: return real_number(text, found);
        default: return truth(text, found);
    }
}

typedef struct {
    int32_t slots[SLOTS];
    int64_t *seen; /* by wanted name: the last line that had it */
} Names;

static Place name_of(const Work *work, int32_t n, Place *end) {
    *end = work->names + work->name_ends[n];
    return n ? work->names + work->name_ends[n - 1] : work->names;
}

/* The place of a wanted name, or -1. */
static int32_t find(const Work *work, const int32_t *slots, Place p, Place end, uint64_t hash) {
    for (uint64_t at = hash % SLOTS; slots[at] >= 0; at = (at + 1) % SLOTS) {
        Place last, first = name_of(work, slots[at], &last);
        if (last - first == end - p && !memcmp(first, p, (size_t)(end - p))) return slots[at];
    }
    return -1;
}

/* Whether a name of the record says `parent.member` of an object whose members are wanted: `match` takes such too. */
static bool is_written_out(const Work *work, Place p, Place end) {
    for (int32_t n = 0; n < work->wanted; n++) {
        Place last, first = name_of(work, n, &last);
        if (work->uses[n] == MEMBERS && end - p > last - first && p[last - first] == '.' && !memcmp(first, p, (size_t)(last - first))) return true;
    }
    return false;
}

static void set(uint8_t *bits, int64_t row) { bits[row >> 3] |= (uint8_t)(1 << (row & 7)); }

static void clear(uint8_t *bits, int64_t row) { bits[row >> 3] &= (uint8_t) ~(1 << (row & 7)); }

/* Writes what is wanted of one member into its columns; the end of its value. */
static Place take(Work *work, Place p, int32_t wanted, int64_t row) {
    int32_t column = work->columns[wanted], use = work->uses[wanted];
    if (*p == 'n') return word(p);
    if (use == MEMBERS) {
        View *names = work->member_names + column * work->room, *values = work->member_values + column * work->room;
        return *p == '{' ? members(work, p, names, values, work->member_starts + column * (work->lines + 1) + row + 1) : NULL;
    }
    Text text = {p, p, false};
    int32_t texts = 1;
    if (*p == '"') p = string(work, p, &text);
    else if (*p == '-' || is_digit(*p)) p = number_text(work, p, &text);
    else if (*p == '{') p = object_text(work, p, &text);
    else if (*p == '[') p = use == TEXT_OF_NO_LIST ? NULL : joined(work, p + 1, &text, &texts);
    else p = text.end = word(p);
    if (!p || !texts) return p;
    put(work, work->texts + column * work->lines + row, text);
    set(work->text_bits + column * work->bits, row);
    if (text.start == text.end) return p;
    for (int32_t n = wanted ? work->value_ends[wanted - 1] : 0; n < work->value_ends[wanted]; n++) {
        if (!read_value(text, work->values[n], work->read + n * work->lines + row)) return NULL;
        set(work->read_bits + n * work->bits, row);
    }
    return p;
}

/* A name of a record, and the place of the wanted one, or -1. */
typedef struct {
    Place start, end;
    int32_t wanted;
} Met;

/* The names of the record before, in their order: those of the next one mostly are the same. */
typedef struct {
    Met met[MOST_MET];
    int32_t count;
} Before;

/* Finds the name whose quote `p` is, the `n`-th of its record. False for names with escapes, and for those that say
 * `parent.member`. */
static bool meet(const Work *work, const int32_t *slots, Before *before, int32_t n, Place p, Place last, Met *met) {
    if (*p != '"') return false;
    p++;
    if (n < before->count) {
        *met = before->met[n];
        int64_t size = met->end - met->start;
        if (size < last - p && p[size] == '"' && !memcmp(p, met->start, (size_t)size)) {
            met->start = p;
            met->end = p + size;
            return true;
        }
    }
    bool escaped;
    Place end = closing_quote(p, &escaped);
    if (!end || escaped) return false;
    *met = (Met){p, end, find(work, slots, p, end, hashed(HASH_OF_NOTHING, p, end))};
    if (met->wanted < 0 && work->member_columns && memchr(p, '.', (size_t)(end - p)) && is_written_out(work, p, end)) return false;
    if (n > before->count || n == MOST_MET) return true;
    before->met[n] = *met;
    if (n == before->count) before->count++;
    return true;
}

/* One line into row `row`; whether all of it was taken. */
static bool take_line(Work *work, int64_t line, int64_t row, const int32_t *slots, int64_t *seen, Before *before) {
    Place p = blanks(work->data + work->starts[line]), last = work->data + work->starts[line + 1] - 1;
    if (*p != '{') return false;
    p = blanks(p + 1);
    if (*p == '}') return blanks(p + 1) == last;
    for (int32_t n = 0;; n++, p = blanks(p + 1)) {
        Met met;
        if (!meet(work, slots, before, n, p, last, &met)) return false;
        p = blanks(met.end + 1);
        if (*p != ':') return false;
        p = blanks(p + 1);
        int flags = 0;
        if (met.wanted < 0) p = behind_value(work, p, &flags);
        else {
            if (seen[met.wanted] == line) return false;
            seen[met.wanted] = line;
            p = take(work, p, met.wanted, row);
        }
        if (!p) return false;
        p = blanks(p);
        if (*p == '}') return blanks(p + 1) == last;
        if (*p != ',') return false;
    }
}

/* Fills the columns. Returns 0, or -1 where more names are wanted than there is room for. */
int32_t profilemill_shred(Work *work) {
    static const int32_t most = SLOTS / 4;
    int32_t slots[SLOTS];
    int64_t seen[SLOTS / 4];
    Before before = {.count = 0};
    if (work->wanted > most) return -1;
    for (int32_t n = 0; n < SLOTS; n++) slots[n] = -1;
    for (int32_t n = 0; n < work->wanted; n++) {
        Place end, first = name_of(work, n, &end);
        uint64_t at = hashed(HASH_OF_NOTHING, first, end) % SLOTS;
        while (slots[at] >= 0) at = (at + 1) % SLOTS;
        slots[at] = n;
        seen[n] = -1;
    }
    work->rows = work->side_used = 0;
    for (int64_t line = 0; line < work->lines; line++) {
        int64_t row = work->rows, side = work->side_used;
        for (int32_t n = 0; n < work->member_columns; n++) {
            int32_t *starts = work->member_starts + n * (work->lines + 1);
            starts[row + 1] = starts[row];
        }
        /* The ends of texts are 32-bit integers. */
        work->odd[line] = work->starts[line + 1] > INT32_MAX / 2 || !take_line(work, line, row, slots, seen, &before);
        if (!work->odd[line]) {
            Text whole = {work->data + work->starts[line], work->data + work->starts[line + 1], false};
            put(work, work->whole + row, whole);
            work->hashes[row] = xxh64(whole.start, whole.end);
            work->rows++;
            continue;
        }
        work->side_used = side;
        for (int32_t n = 0; n < work->text_columns; n++) clear(work->text_bits + n * work->bits, row);
        for (int32_t n = 0; n < work->value_columns; n++) clear(work->read_bits + n * work->bits, row);
    }
    return 0;
}

/* Where the texts of each column end when they stand one after the other, from 0 on. */
void profilemill_text_ends(const TextColumn *columns, int64_t count) {
    for (const TextColumn *column = columns; column < columns + count; column++) {
        int32_t end = column->ends[0] = 0;
        for (int64_t row = 0; row < column->rows; row++) {
            if (!column->bits || column->bits[row / 8] >> row % 8 & 1) end += (int32_t)column->views[row].size;
            column->ends[row + 1] = end;
        }
    }
}

/* Puts the texts of each column one after the other. */
void profilemill_copy_texts(const Work *work, const TextColumn *columns, int64_t count) {
    for (const TextColumn *column = columns; column < columns + count; column++)
        for (int64_t row = 0; row < column->rows; row++) {
            const View *view = column->views + row;
            uint8_t *text = column->texts + column->ends[row];
            size_t size = (size_t)(column->ends[row + 1] - column->ends[row]);
            if (!size) continue;
            /* A fixed size is one instruction. */
            if (size <= sizeof view->inside) memcpy(text, view->inside, sizeof view->inside);
            else memcpy(text, (view->outside.buffer ? work->side : work->data) + view->outside.offset, size);
        }
}

/* Where each line starts, and where the last one ends; how many these are. The data ends with a line feed, and `starts` has
 * room for one more than it has bytes. */
int64_t profilemill_line_starts(Place data, int64_t size, int64_t *starts) {
    int64_t *next = starts;
    Place p = data, end = data + size;
    *next++ = 0;
    while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) *next++ = ++p - data;
    return next - starts;
}

/* What the library and its callers must agree on. */
int32_t profilemill_kernel_version(void) { return 5; }
