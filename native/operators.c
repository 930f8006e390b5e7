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
#define INTERFACE 1

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
static double clipped(double value, double most) { return value > 0 ? (value < most ? value : most) : 0; }

/* The channels of a pixel, and room for a fourth, so that they are computed at once. */
typedef int32_t integers __attribute__((vector_size(16)));
typedef float floats __attribute__((vector_size(16)));
typedef double doubles __attribute__((vector_size(32)));

#define TO_DOUBLES(pixel) __builtin_convertvector(pixel, doubles)

/* One cell of WarpMLS.gen_img: `rows` × `columns` pixels from (top, left), by the deltas at its four nodes. */
FAST static void cell(const integers *restrict source, uint8_t *restrict target, int32_t height, int32_t width,
                      int32_t top, int32_t left, int32_t rows, int32_t columns, point v11, point v12, point v21,
                      point v22) {
    double upper_x[GRID], lower_x[GRID], upper_y[GRID], lower_y[GRID], xs[GRID], ys[GRID];
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
            double x = (left + c) + (upper_x[c] * (1 - t) + lower_x[c] * t);
            double y = (top + r) + (upper_y[c] * (1 - t) + lower_y[c] * t);
            xs[c] = clipped(x, width - 1);
            ys[c] = clipped(y, height - 1);
        }
        uint8_t *out = target + ((int64_t)(top + r) * width + left) * 3;
        for (int32_t c = 0; c < columns; c++, out += 3) {
            /* Not negative, so this is floor. */
            int32_t x = (int32_t)xs[c], y = (int32_t)ys[c];
            double u = xs[c] - x, v = ys[c] - y;
            const integers *a = source + (int64_t)y * width + x, *b = a + (v > 0 ? width : 0);
            int64_t right = u > 0 ? 1 : 0;
            doubles above = TO_DOUBLES(a[0]) * (1 - u) + TO_DOUBLES(a[right]) * u;
            doubles below = TO_DOUBLES(b[0]) * (1 - u) + TO_DOUBLES(b[right]) * u;
            doubles value = above * (1 - v) + below * v;
            /* By float32, as in PaddleOCR: its rounding lifts what is a hair below a whole number. It cannot lift
             * above 255, which is one. */
            floats rounded = __builtin_convertvector(value, floats);
            integers cut = __builtin_convertvector(rounded, integers);
            out[0] = (uint8_t)cut[0], out[1] = (uint8_t)cut[1], out[2] = (uint8_t)cut[2];
        }
    }
}

/* WarpMLS(source, from, to, width, height).generate() for three channels. -1: no memory or wrong sizes. */
int32_t ocrfleet_warp(const uint8_t *source, int64_t height, int64_t width, const double *from, const double *to,
                      int64_t count, uint8_t *target) {
    if (height < 1 || width < 1 || height > INT32_MAX || width > INT32_MAX || count < 2) return -1;
    for (int64_t k = 0; k < 2 * count; k++)
        if (!isfinite(from[k]) || !isfinite(to[k])) return -1;
    int64_t across = (width - 1 + GRID - 1) / GRID + 1, down = (height - 1 + GRID - 1) / GRID + 1;
    point *nodes = malloc(sizeof(point) * (size_t)(across * down));
    float *weights = calloc((size_t)count, sizeof(float));
    integers *pixels = malloc(sizeof(integers) * (size_t)(height * width));
    if (!nodes || !weights || !pixels) {
        free(pixels);
        free(nodes);
        free(weights);
        return -1;
    }
    for (int64_t k = 0; k < height * width; k++)
        pixels[k] = (integers){source[3 * k], source[3 * k + 1], source[3 * k + 2], 0};
    for (int64_t c = 0; c < across; c++)
        for (int64_t r = 0; r < down; r++) {
            int64_t i = c * GRID < width ? c * GRID : width - 1, j = r * GRID < height ? r * GRID : height - 1;
            nodes[r * across + c] = moved(i, j, (const point *)from, (const point *)to, count, weights);
        }
    for (int64_t top = 0, r = 0; top < height; top += GRID, r++) {
        int64_t rows = top + GRID >= height ? height - top : GRID, below = r + 1 < down ? r + 1 : r;
        for (int64_t left = 0, c = 0; left < width; left += GRID, c++) {
            int64_t columns = left + GRID >= width ? width - left : GRID, right = c + 1 < across ? c + 1 : c;
            cell(pixels, target, (int32_t)height, (int32_t)width, (int32_t)top, (int32_t)left, (int32_t)rows,
                 (int32_t)columns, nodes[r * across + c], nodes[r * across + right], nodes[below * across + c],
                 nodes[below * across + right]);
        }
    }
    free(pixels);
    free(nodes);
    free(weights);
    return 0;
}

/* ---- add_gasuss_noise ------------------------------------------------------------------------------------------- */

/* numpy/random/bitgen.h, which numpy keeps stable for such use. */
typedef struct {
    void *state;
    uint64_t (*next_uint64)(void *state);
    uint32_t (*next_uint32)(void *state);
    double (*next_double)(void *state);
    uint64_t (*next_raw)(void *state);
} generator;

static uint8_t noisy(uint8_t value, double gauss, double deviation) {
    double out = value + 0.5 * (0.0 + deviation * gauss);
    return (uint8_t)(out < 0 ? 0 : out > 255 ? 255 : out);
}

/* add_gasuss_noise for an even number of values, with the numbers that numpy.random.normal would draw for them.
 *
 * The deviation is small: except for extreme draws, only the sign of a draw matters. So the logarithm and the root of
 * numpy's polar method are computed for extreme draws only. */
void ocrfleet_noise(generator *random, uint8_t *values, int64_t count, double deviation) {
    for (int64_t i = 0; i + 1 < count; i += 2) {
        double x1, x2, r2;
        do {
            x1 = 2.0 * random->next_double(random->state) - 1.0;
            x2 = 2.0 * random->next_double(random->state) - 1.0;
            r2 = x1 * x1 + x2 * x2;
        } while (r2 >= 1.0 || r2 == 0.0);
        if (r2 > 1e-6 && r2 < 1 - 1e-6 && fabs(x1) > 1e-6 && fabs(x2) > 1e-6) {
            /* Without a branch, which half of the draws would take. */
            values[i] = (uint8_t)(values[i] - ((x2 < 0) & (values[i] > 0)));
            values[i + 1] = (uint8_t)(values[i + 1] - ((x1 < 0) & (values[i + 1] > 0)));
        } else {
            double f = sqrt(-2.0 * log(r2) / r2);
            values[i] = noisy(values[i], f * x2, deviation);
            values[i + 1] = noisy(values[i + 1], f * x1, deviation);
        }
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
 * padding, at most 1. `row` begins at x = `offset`, and keeps the least; once not a number, always not a number, as in numpy's minimum. */
FAST static void edge(float *restrict row, int32_t offset, int32_t first, int32_t last, double y, point a, point b, double distance) {
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
 * Only pixels nearer to an edge than `distance` change, so only those are computed. */
int32_t ocrfleet_border(const double *corners, int64_t count, double distance, int64_t left, int64_t top,
                        int64_t width, int64_t height, float *canvas, int64_t canvas_height, int64_t canvas_width) {
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
            float value = 1 - row[x - first_x];
            if (value > out[x]) out[x] = value;
        }
    }
    free(row);
    return 0;
}
