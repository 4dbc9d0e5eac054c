/* Of each group of rows the one with the latest (or earliest) value: a look at each row, where arrays take a dozen. */
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const uint8_t *bits; /* which rows have a value; NULL: all */
    int64_t first_bit;
    const int64_t *times; /* by row */
    int64_t latest; /* 0: the earliest */
    int64_t *rows; /* found, by group; -1: none has a value */
    uint8_t *tied; /* found, by group: whether several have that time, of which the first was taken */
    int64_t ties; /* found: how many groups are tied */
} ValueColumn;

/* `order` are the rows group by group; group n is order[starts[n]] up to order[starts[n + 1]]. */
void profilemill_latest(const int64_t *order, const int64_t *starts, int64_t groups, ValueColumn *column) {
    column->ties = 0;
    for (int64_t group = 0; group < groups; group++) {
        int64_t best = -1, time = 0;
        bool tied = false;
        for (int64_t place = starts[group]; place < starts[group + 1]; place++) {
            int64_t row = order[place], bit = column->first_bit + row;
            if (column->bits && !(column->bits[bit / 8] >> bit % 8 & 1)) continue;
            if (best >= 0 && column->times[row] == time) tied = true;
            else if (best < 0 || (column->latest ? column->times[row] > time : column->times[row] < time)) {
                best = row;
                time = column->times[row];
                tied = false;
            }
        }
        column->rows[group] = best;
        column->tied[group] = tied;
        column->ties += tied;
    }
}
