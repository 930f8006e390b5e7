/* The costly operators of PaddleOCR's reader: the same arithmetic in the same order, so the same results.
 *
 * trainer/ppocr/operators/native.py loads this as a shared library, checks shapes and types, and passes sizes.
 * Built without contraction of a * b + c, which would round once where numpy rounds twice.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Raised with every change of a function's arguments or results; native.py has the same number. */
#define INTERFACE 2

#define GRID 100 /* WarpMLS.grid_size */

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && !defined(PLAIN)
#define FAST __attribute__((target_clones("avx2", "default")))
#else
#define FAST
#endif

int32_t ocrfleet_interface(void) { return INTERFACE; }

/* ---- WarpMLS ---------------------------------------------------------------------------------------------------- */

typedef struct {
    double x, y;
} point;

/* WarpMLS.calc_delta for one node of the grid. `weights` keeps its values from node to node, as there. */
static point moved(int64_t i, int64_t j, const point *from, const point *to, int64_t count, float *weights) {
    double sum = 0, px = 0, py = 0, qx = 0, qy = 0;
    int64_t k;
    for (k = 0; k < count; k++) {
        if (i == to[k].x && j == to[k].y) break;
        weights[k] = (float)(1.0 / ((i - to[k].x) * (i - to[k].x) + (j - to[k].y) * (j - to[k].y)));
        double w = weights[k];
        sum += w;
        px = px + w * to[k].x;
        py = py + w * to[k].y;
        qx = qx + w * from[k].x;
        qy = qy + w * from[k].y;
    }
    /* PaddleOCR asks `k == pt_count - 1` after its loop, which also holds where the last point was hit: that point is
     * then not moved to its place, but like any other. */
    if (k < count - 1) return (point){from[k].x - i, from[k].y - j};
    double inverse = 1 / sum;
    px = inverse * px, py = inverse * py, qx = inverse * qx, qy = inverse * qy;
    double mu = 0;
    for (k = 0; k < count; k++) {
        if (i == to[k].x && j == to[k].y) continue;
        double x = to[k].x - px, y = to[k].y - py;
        mu += weights[k] * (x * x + y * y);
    }
    /* These are float32 arrays in PaddleOCR. */
    float cx = (float)((float)i - px), cy = (float)((float)j - py), nx = 0, ny = 0;
    for (k = 0; k < count; k++) {
        if (i == to[k].x && j == to[k].y) continue;
        double x = to[k].x - px, y = to[k].y - py;
        float tx = (float)((x * cx + y * cy) * from[k].x - (-y * cx + x * cy) * from[k].y);
        float ty = (float)(-(x * -cy + y * cx) * from[k].x + (-y * -cy + x * cx) * from[k].y);
        float scale = (float)(weights[k] / mu);
        nx += tx * scale;
        ny += ty * scale;
    }
    /* Volatile: GCC 12 leaves out the rounding to float32 else. */
    volatile float x = (float)(nx + qx), y = (float)(ny + qy);
    return (point){x - (double)i, y - (double)j};
}

/* What is not a number becomes 0, which is a pixel. */
static inline double clipped(double value, double most) {
    value = value > 0 ? value : 0;
    return value < most ? value : most;
}

/* The channels of a pixel, and room for a fourth, so that they are computed at once. */
typedef int32_t integers __attribute__((vector_size(16)));
typedef float floats __attribute__((vector_size(16)));
typedef double doubles __attribute__((vector_size(32)));

#define TO_DOUBLES(pixel) __builtin_convertvector(pixel, doubles)

/* One cell of WarpMLS.gen_img: `rows` × `columns` pixels from (top, left), by the deltas at its four nodes. They are
 * written as pixels, or as bytes where `bytes` is not null.
 *
 * Where a coordinate is whole, its next pixel counts 0 times. So it may be any: behind the last row there is one more,
 * and one more pixel. */
FAST static void cell(const doubles *restrict source, doubles *restrict target, uint8_t *restrict bytes, int32_t height,
                      int32_t width, int32_t top, int32_t left, int32_t rows, int32_t columns, point v11, point v12,
                      point v21, point v22) {
    double upper_x[GRID], lower_x[GRID], upper_y[GRID], lower_y[GRID], us[GRID], vs[GRID];
    int32_t places[GRID];
    for (int32_t c = 0; c < columns; c++) {
        double t = (double)c / columns;
        upper_x[c] = v11.x * (1 - t) + v12.x * t;
        lower_x[c] = v21.x * (1 - t) + v22.x * t;
        upper_y[c] = v11.y * (1 - t) + v12.y * t;
        lower_y[c] = v21.y * (1 - t) + v22.y * t;
    }
    for (int32_t r = 0; r < rows; r++) {
        double t = (double)r / rows;
        for (int32_t c = 0; c < columns; c++) {
            double x = clipped((left + c) + (upper_x[c] * (1 - t) + lower_x[c] * t), width - 1);
            double y = clipped((top + r) + (upper_y[c] * (1 - t) + lower_y[c] * t), height - 1);
            /* Not negative, so this is floor. */
            int32_t column = (int32_t)x, row = (int32_t)y;
            us[c] = x - column;
            vs[c] = y - row;
            places[c] = row * width + column;
        }
        int64_t first = (int64_t)(top + r) * width + left;
        for (int32_t c = 0; c < columns; c++) {
            const doubles *a = source + places[c], *b = a + width;
            double u = us[c], v = vs[c];
            doubles above = a[0] * (1 - u) + a[1] * u;
            doubles below = b[0] * (1 - u) + b[1] * u;
            doubles value = above * (1 - v) + below * v;
            /* By float32, as in PaddleOCR: its rounding lifts what is a hair below a whole number. It cannot lift
             * above 255, which is one. */
            integers cut = __builtin_convertvector(__builtin_convertvector(value, floats), integers);
            if (bytes) {
                uint8_t *out = bytes + 3 * (first + c);
                out[0] = (uint8_t)cut[0], out[1] = (uint8_t)cut[1], out[2] = (uint8_t)cut[2];
            } else {
                target[first + c] = TO_DOUBLES(cut);
            }
        }
    }
}

/* WarpMLS(source, from, to, width, height).generate(), into pixels or bytes. */
static void warp(const doubles *source, doubles *target, uint8_t *bytes, int64_t height, int64_t width,
                 const point *from, const point *to, int64_t count, point *nodes, float *weights) {
    int64_t across = (width - 1 + GRID - 1) / GRID + 1, down = (height - 1 + GRID - 1) / GRID + 1;
    memset(weights, 0, sizeof(float) * (size_t)count);
    for (int64_t c = 0; c < across; c++)
        for (int64_t r = 0; r < down; r++) {
            int64_t i = c * GRID < width ? c * GRID : width - 1, j = r * GRID < height ? r * GRID : height - 1;
            nodes[r * across + c] = moved(i, j, from, to, count, weights);
        }
    for (int64_t top = 0, r = 0; top < height; top += GRID, r++) {
        int64_t rows = top + GRID >= height ? height - top : GRID, below = r + 1 < down ? r + 1 : r;
        for (int64_t left = 0, c = 0; left < width; left += GRID, c++) {
            int64_t columns = left + GRID >= width ? width - left : GRID, right = c + 1 < across ? c + 1 : c;
            cell(source, target, bytes, (int32_t)height, (int32_t)width, (int32_t)top, (int32_t)left, (int32_t)rows,
                 (int32_t)columns, nodes[r * across + c], nodes[r * across + right], nodes[below * across + c],
                 nodes[below * across + right]);
        }
    }
}

/* WarpMLS of three channels, `warps` times, each of the last one's result. The points of a warp lie one after the other:
 * `counts` of them, and where each is moved. -1: no memory or wrong sizes. */
int32_t ocrfleet_warp(const uint8_t *source, int64_t height, int64_t width, const double *points,
                      const int64_t *counts, int64_t warps, uint8_t *target) {
    if (height < 1 || width < 1 || height >= INT32_MAX / width - 1 || warps < 1) return -1;
    int64_t most = 0, sum = 0;
    for (int64_t k = 0; k < warps; k++) {
        if (counts[k] < 2) return -1;
        most = counts[k] > most ? counts[k] : most;
        sum += counts[k];
    }
    for (int64_t k = 0; k < 4 * sum; k++)
        if (!isfinite(points[k])) return -1;
    const int64_t pixels = height * width, room = pixels + width + 1;
    doubles *from = aligned_alloc(sizeof(doubles), sizeof(doubles) * (size_t)(warps > 1 ? 2 * room : room));
    point *nodes = malloc(sizeof(point) * (size_t)((width / GRID + 2) * (height / GRID + 2)));
    float *weights = malloc(sizeof(float) * (size_t)most);
    int32_t failed = !from || !nodes || !weights ? -1 : 0;
    if (!failed) {
        doubles *into = warps > 1 ? from + room : from;
        for (int64_t k = 0; k < pixels; k++)
            from[k] = (doubles){source[3 * k], source[3 * k + 1], source[3 * k + 2], 0};
        memset(from + pixels, 0, sizeof(doubles) * (size_t)(width + 1));
        memset(into + room - width - 1, 0, sizeof(doubles) * (size_t)(width + 1));
        doubles *now = from, *next = into;
        for (int64_t k = 0; k < warps; k++) {
            const point *these = (const point *)points;
            warp(now, next, k + 1 < warps ? NULL : target, height, width, these, these + counts[k], counts[k], nodes,
                 weights);
            points += 4 * counts[k];
            doubles *last = now;
            now = next;
            next = last;
        }
    }
    free(weights);
    free(nodes);
    free(from);
    return failed;
}

/* ---- numpy's legacy generator ------------------------------------------------------------------------------------ */

#define WORDS 624

/* mt19937_state of numpy/random/src/mt19937/mt19937.h; native.py checks that it is. */
typedef struct {
    uint32_t words[WORDS];
    int32_t position;
} twister;

static uint32_t twisted(uint32_t high, uint32_t low, uint32_t far) {
    uint32_t both = (high & 0x80000000u) | (low & 0x7fffffffu);
    return far ^ (both >> 1) ^ (-(both & 1) & 0x9908b0dfu);
}

FAST static void twist(uint32_t *words) {
    int32_t k = 0;
    for (; k < WORDS - 397; k++) words[k] = twisted(words[k], words[k + 1], words[k + 397]);
    for (; k < WORDS - 1; k++) words[k] = twisted(words[k], words[k + 1], words[k + 397 - WORDS]);
    words[k] = twisted(words[k], words[0], words[396]);
}

static inline uint32_t tempered(uint32_t word) {
    word ^= word >> 11;
    word ^= word << 7 & 0x9d2c5680u;
    word ^= word << 15 & 0xefc60000u;
    return word ^ word >> 18;
}

static uint32_t draw(twister *random) {
    if (random->position >= WORDS) {
        twist(random->words);
        random->position = 0;
    }
    return tempered(random->words[random->position++]);
}

/* numpy.random.random */
static double draw_double(twister *random) {
    uint32_t high = draw(random) >> 5, low = draw(random) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
}

/* numpy.random.randint(most), in its default type */
static int64_t draw_below(twister *random, int64_t most) {
    uint32_t last = (uint32_t)(most - 1), mask = last, found;
    if (!last) return 0;
    for (int32_t shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
    do found = draw(random) & mask;
    while (found > last);
    return found;
}

/* For a test of the generator's layout. */
void ocrfleet_words(twister *random, uint32_t *words, int64_t count) {
    for (int64_t k = 0; k < count; k++) words[k] = draw(random);
}

static uint32_t hashed(uint32_t value, uint32_t *constant, uint32_t factor) {
    value ^= *constant;
    *constant *= factor;
    value *= *constant;
    return value ^ value >> 16;
}

static uint32_t mixed(uint32_t x, uint32_t y) {
    uint32_t found = 0xca01f9ddu * x - 0x4973f715u * y;
    return found ^ found >> 16;
}

/* numpy.random.SeedSequence(entropy).generate_state(words), for numbers of 32 bits. */
void ocrfleet_seeds(const uint32_t *entropy, int64_t count, uint32_t *seeds, int64_t words) {
    uint32_t pool[4], constant = 0x43b0d7e5u;
    for (int64_t k = 0; k < 4; k++) pool[k] = hashed(k < count ? entropy[k] : 0, &constant, 0x931e8875u);
    for (int64_t from = 0; from < 4; from++)
        for (int64_t to = 0; to < 4; to++)
            if (from != to) pool[to] = mixed(pool[to], hashed(pool[from], &constant, 0x931e8875u));
    for (int64_t from = 4; from < count; from++)
        for (int64_t to = 0; to < 4; to++)
            pool[to] = mixed(pool[to], hashed(entropy[from], &constant, 0x931e8875u));
    constant = 0x8b51f9ddu;
    for (int64_t k = 0; k < words; k++) seeds[k] = hashed(pool[k % 4], &constant, 0x58f38dedu);
}

/* ---- tia_distort, tia_stretch, tia_perspective ------------------------------------------------------------------- */

/* The corners of an image clockwise from the left top, and points on its upper and lower edge, one above the other. */
static void place(point *points, int64_t width, int64_t height, int64_t segments) {
    double right = (double)width, bottom = (double)height;
    points[0] = (point){0, 0}, points[1] = (point){right, 0};
    points[2] = (point){right, bottom}, points[3] = (point){0, bottom};
    for (int64_t k = 1; k < segments; k++) {
        double x = (double)(width / segments * k);
        points[2 + 2 * k] = (point){x, 0};
        points[3 + 2 * k] = (point){x, bottom};
    }
}

/* Draw where tia_distort, tia_stretch and tia_perspective, one after the other, move their points: the points of each
 * and their targets, for ocrfleet_warp. -1: the image is too small. */
int32_t ocrfleet_bends(twister *random, int64_t width, int64_t height, int64_t distort, int64_t stretch,
                       double *points) {
    if (distort < 1 || stretch < 1 || width > INT32_MAX || height > INT32_MAX) return -1;
    int64_t reach = width / distort / 3, along = width / stretch * 4 / 5, down = height / 2;
    if (reach < 1 || along < 1 || down < 1) return -1;
    static const double inward_x[] = {1, -1, -1, 1}, inward_y[] = {1, 1, -1, -1};
    point *from = (point *)points, *to;
    int64_t count = 2 * distort + 2;
    place(from, width, height, distort);
    to = from + count;
    for (int64_t k = 0; k < count; k++) {
        double x = (double)draw_below(random, reach), y = (double)draw_below(random, reach), half = (double)reach * 0.5;
        if (k < 4)
            to[k] = (point){from[k].x + inward_x[k] * x, from[k].y + inward_y[k] * y};
        else
            to[k] = (point){from[k].x + (x - half), from[k].y + (y - half)};
    }
    from = to + count;
    count = 2 * stretch + 2;
    place(from, width, height, stretch);
    to = from + count;
    memcpy(to, from, sizeof(point) * (size_t)count);
    for (int64_t k = 4; k < count; k += 2) {
        double x = (double)draw_below(random, along) - (double)along * 0.5;
        to[k].x += x, to[k + 1].x += x;
    }
    from = to + count;
    place(from, width, height, 1);
    to = from + 4;
    for (int64_t k = 0; k < 4; k++) to[k] = (point){from[k].x, from[k].y + inward_y[k] * (double)draw_below(random, down)};
    return 0;
}

/* ---- add_gasuss_noise ------------------------------------------------------------------------------------------- */

static uint8_t noisy(uint8_t value, double gauss, double deviation) {
    double out = value + 0.5 * (0.0 + deviation * gauss);
    return (uint8_t)(out < 0 ? 0 : out > 255 ? 255 : out);
}

/* One try of numpy's polar method for two values: 1 if its draws are good, else 0.
 *
 * The deviation is small: except for extreme draws, only the sign of a draw matters. So the logarithm and the root are
 * computed for extreme draws only. */
static int64_t add_noise(twister *random, uint8_t *values, double deviation) {
    double x1 = 2.0 * draw_double(random) - 1.0;
    double x2 = 2.0 * draw_double(random) - 1.0;
    double r2 = x1 * x1 + x2 * x2;
    if (r2 >= 1.0 || r2 == 0.0) return 0;
    if (r2 > 1e-6 && r2 < 1 - 1e-6 && fabs(x1) > 1e-6 && fabs(x2) > 1e-6) {
        values[0] = (uint8_t)(values[0] - ((x2 < 0) & (values[0] > 0)));
        values[1] = (uint8_t)(values[1] - ((x1 < 0) & (values[1] > 0)));
    } else {
        double f = sqrt(-2.0 * log(r2) / r2);
        values[0] = noisy(values[0], f * x2, deviation);
        values[1] = noisy(values[1], f * x1, deviation);
    }
    return 1;
}

#define TRIES 8

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FIRST_BYTE 0x1
#define SECOND_BYTE 0x100
#else
#define FIRST_BYTE 0x100
#define SECOND_BYTE 0x1
#endif

/* The same for `TRIES` tries at once, by the upper half of each draw: how many are good, or -1, and nothing done, if
 * that half does not decide about one of them. */
FAST static int64_t add_noises(const uint32_t *words, uint8_t *values) {
    float xs[2 * TRIES];
    int32_t good[TRIES], unclear = 0;
    uint16_t drops[TRIES];
    uint8_t chosen[2 * TRIES] = {0};
    for (int32_t k = 0; k < 2 * TRIES; k++) xs[k] = (float)(int32_t)(tempered(words[2 * k]) ^ 0x80000000u) * 0x1p-31f;
    for (int32_t k = 0; k < TRIES; k++) {
        float x1 = xs[2 * k], x2 = xs[2 * k + 1], r2 = x1 * x1 + x2 * x2;
        unclear |= (r2 < 1e-5f) | (fabsf(r2 - 1) < 1e-5f) | (fabsf(x1) < 1e-5f) | (fabsf(x2) < 1e-5f);
        good[k] = r2 < 1;
        drops[k] = r2 < 1 ? (uint16_t)((x2 < 0) * FIRST_BYTE | (x1 < 0) * SECOND_BYTE) : 0;
    }
    if (unclear) return -1;
    /* Without a branch, which half of the draws would take: a bad one is overwritten by the next. */
    int64_t count = 0;
    for (int32_t k = 0; k < TRIES; k++) {
        memcpy(chosen + 2 * count, drops + k, 2);
        count += good[k];
    }
    for (int32_t k = 0; k < 2 * TRIES; k++) values[k] = (uint8_t)(values[k] - (chosen[k] & (values[k] > 0)));
    return count;
}

/* add_gasuss_noise for an even number of values, with the numbers that numpy.random.normal would draw for them. */
void ocrfleet_noise(twister *random, uint8_t *values, int64_t count, double deviation) {
    int64_t left = count / 2;
    while (left > 0) {
        int64_t good = -1;
        if (left >= TRIES && random->position + 4 * TRIES <= WORDS) {
            good = add_noises(random->words + random->position, values);
            if (good >= 0) random->position += 4 * TRIES;
        }
        if (good < 0) good = add_noise(random, values, deviation);
        values += 2 * good;
        left -= good;
    }
}

/* ---- NormalizeImage, RecResizeImg ------------------------------------------------------------------------------- */

/* Three planes of numbers from an image of bytes, by a table of 256 numbers a channel; a row of a plane is `stride`
 * numbers long, and what is right of the image is 0. */
void ocrfleet_planes(const uint8_t *restrict image, int64_t height, int64_t width, const float *restrict table,
                     float *restrict planes, int64_t stride) {
    const int64_t plane = height * stride;
    for (int64_t r = 0; r < height; r++) {
        const uint8_t *in = image + r * width * 3;
        float *out = planes + r * stride;
        for (int64_t c = 0; c < width; c++, in += 3) {
            out[c] = table[in[0]];
            out[c + plane] = table[256 + in[1]];
            out[c + 2 * plane] = table[512 + in[2]];
        }
        for (int64_t k = 0; k < 3; k++)
            memset(out + k * plane + width, 0, sizeof(float) * (size_t)(stride - width));
    }
}

/* ---- MakeBorderMap ---------------------------------------------------------------------------------------------- */

/* MakeBorderMap._distance in a part of a row, from an edge with the corners a and b: divided by the distance of the
 * padding, at most 1. `row` begins at x = `offset`, and keeps the least; once not a number, always not a number, as in
 * numpy's minimum. */
FAST static void edge(float *restrict row, int32_t offset, int32_t first, int32_t last, double y, point a, point b,
                      double distance) {
    double length = (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y);
    double y1 = (y - a.y) * (y - a.y), y2 = (y - b.y) * (y - b.y);
    for (int32_t x = first; x <= last; x++) {
        double to_a = ((double)x - a.x) * ((double)x - a.x) + y1, to_b = ((double)x - b.x) * ((double)x - b.x) + y2;
        double product = to_a * to_b, numerator = length - to_a - to_b;
        double cosine = numerator / (2 * sqrt(product));
        /* Negative where rounding makes a cosine above 1 on the edge itself: then the root is not a number, and
         * PaddleOCR leaves such a pixel out. */
        double sine = product == 0 ? 0 : 1 - cosine * cosine;
        /* Beyond the circle over the edge it is the distance to the nearer corner, which is not the edge's. */
        double square = numerator < 0 ? (to_a < to_b ? to_a : to_b) : product * sine / length;
        double value = sqrt(square) / distance;
        float found = (float)(value > 1 ? 1 : value), least = row[x - offset];
        row[x - offset] = least != least ? least : found >= least ? least : found;
    }
}

static int64_t within(double value, int64_t least, int64_t most) {
    return value > (double)least ? (value < (double)most ? (int64_t)value : most) : least;
}

/* MakeBorderMap.draw_border_map after its padding: the polygon's corners are relative to (left, top) of the padded
 * polygon's box of `width` × `height` pixels, of which some are on the canvas. -1: no memory or wrong sizes.
 *
 * Only pixels nearer to an edge than `distance` change, so only those are computed. The map goes from `least` on by
 * `range`, which is not negative, so that the greatest is the same after it as before. */
int32_t ocrfleet_border(const double *corners, int64_t count, double distance, float least, float range, int64_t left,
                        int64_t top, int64_t width, int64_t height, float *canvas, int64_t canvas_height,
                        int64_t canvas_width) {
    int64_t first_x = left < 0 ? -left : 0, first_y = top < 0 ? -top : 0;
    int64_t last_x = left + width > canvas_width ? canvas_width - 1 - left : width - 1;
    int64_t last_y = top + height > canvas_height ? canvas_height - 1 - top : height - 1;
    if (count < 1 || width > INT32_MAX || last_x < first_x || last_y < first_y || !(distance > 0)) return -1;
    for (int64_t k = 0; k < 2 * count; k++)
        if (!isfinite(corners[k])) return -1;
    int64_t columns = last_x - first_x + 1;
    float *row = malloc(sizeof(float) * (size_t)columns);
    if (!row) return -1;
    const point *points = (const point *)corners;
    for (int64_t y = first_y; y <= last_y; y++) {
        int64_t from = last_x + 1, to = first_x - 1;
        for (int64_t k = 0; k < columns; k++) row[k] = 1;
        for (int64_t k = 0; k < count; k++) {
            point a = points[k], b = points[(k + 1) % count];
            double low = a.y < b.y ? a.y : b.y, high = a.y < b.y ? b.y : a.y;
            if ((double)y < low - distance - 1 || (double)y > high + distance + 1) continue;
            double begin = (a.x < b.x ? a.x : b.x) - distance, end = (a.x < b.x ? b.x : a.x) + distance;
            double dx = b.x - a.x, dy = b.y - a.y, length = sqrt(dx * dx + dy * dy);
            /* The band along the edge, where the row crosses it; one that is nearly level has no such ends. */
            if (fabs(dy) > 1e-3 * length) {
                double middle = a.x + ((double)y - a.y) * dx / dy, half = distance * length / fabs(dy);
                if (middle - half > begin) begin = middle - half;
                if (middle + half < end) end = middle + half;
            }
            if (end + 1 < (double)first_x || begin - 1 > (double)last_x || end + 1 < begin - 1) continue;
            int64_t first = within(floor(begin) - 1, first_x, last_x), last = within(ceil(end) + 1, first_x, last_x);
            edge(row, (int32_t)first_x, (int32_t)first, (int32_t)last, (double)y, a, b, distance);
            if (first < from) from = first;
            if (last > to) to = last;
        }
        float *out = canvas + (top + y) * canvas_width + left;
        for (int64_t x = from; x <= to; x++) {
            float value = (1 - row[x - first_x]) * range + least;
            if (value > out[x]) out[x] = value;
        }
    }
    free(row);
    return 0;
}
