/* BERT's encoder over sequences of any lengths, without padding. See native_engine.py.

   The code is plain C behind a plain C interface; hatch_build.py compiles it. It needs x86 with AVX-512 BF16 and VNNI;
   on other processors resift_encoder_level returns 0.

   A thread takes a chunk of whole sequences through all layers, so that the activations stay in the cache of its core
   and threads never wait for each other. Chunks get smaller towards the end, so that all threads end together. The
   inputs of products are rounded to bf16, or to int8 with one scale per 32 neighbouring values of a token; sums,
   residuals, softmax, GELU and normalisation are f32.

   Weights lie in panels of 32 outputs in the order in which they are multiplied; see resift_encoder_pack. */

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))
#define PANEL 32    /* outputs: two registers of sums per row */
#define GROUP 32    /* values of a token that share a scale at int8 */
#define LEAST (-174.f / 1024) /* the least result of GELU at bf16; LEAST in encoder_library.py */
#define SMALLEST 64 /* least tokens of a chunk: each chunk reads all weights again */

typedef uint16_t bf16;

typedef struct {
    int64_t inputs, outputs;
    int64_t scaled; /* at int8: neighbouring inputs whose weights share a scale, GROUP or all inputs */
    const void *panels;
    const float *bias;
    const float *scales; /* at int8, else NULL: 32 outputs side by side, group by group, panel by panel */
} Matrix;

typedef struct {
    Matrix qkv, merge, up, down;
    const float *gain1, *bias1, *gain2, *bias2;
} Layer;

typedef struct {
    int64_t hidden, heads, layers;
    float epsilon;
    const float *words, *places, *kinds, *gain, *bias; /* the embeddings' tables and normalisation */
    const Layer *layer;
    Matrix tail; /* a last product, of the last hidden states; without outputs where the model has none */
} EncoderModel;

typedef struct {
    const EncoderModel *model;
    int64_t n, chunk; /* sequences; most tokens of a chunk, unless it is a single longer sequence */
    int64_t threads;
    const int64_t *starts;   /* n + 1 */
    const int64_t *attended; /* the number of tokens of each sequence, from its first, that attention sees */
    const int32_t *ids, *segments;
    float *hidden; /* out: the last hidden states of all tokens, or of the first token of each sequence */
    float *tail;   /* out: their products with the tail of the model */
    int first_only;
    int failed;   /* out: 1 where memory ran out */
    int64_t next; /* the first sequence that no thread has taken */
} EncoderWork;

#if defined(__x86_64__)
#include <immintrin.h>

#define ISA __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx512vnni")))
#define UNROLL _Pragma("GCC unroll 16")
#define ROWS 12     /* of a tile at bf16: 24 sums, two weights and the values of a token fill the registers */
#define BYTE_ROWS 6 /* of a tile at int8, where each sum takes two registers */

typedef struct {
    __m512 of[ROWS][2];
} Sums;

/* Products of up to ROWS rows with a panel. */

INLINE ISA Sums multiply(int rows, const bf16 *a, int64_t stride, const bf16 *panel, int64_t k) {
    Sums s;
    UNROLL for (int r = 0; r < rows; r++) s.of[r][0] = s.of[r][1] = _mm512_setzero_ps();
    for (int64_t i = 0; i < k; i += 2, panel += 2 * PANEL) {
        __m512bh left = (__m512bh)_mm512_loadu_si512(panel), right = (__m512bh)_mm512_loadu_si512(panel + PANEL);
        UNROLL for (int r = 0; r < rows; r++) {
            int32_t two;
            memcpy(&two, a + r * stride + i, 4);
            __m512bh x = (__m512bh)_mm512_set1_epi32(two);
            s.of[r][0] = _mm512_dpbf16_ps(s.of[r][0], x, left);
            s.of[r][1] = _mm512_dpbf16_ps(s.of[r][1], x, right);
        }
    }
    return s;
}

/* There are two kinds of product at int8. vpdpbusd takes one factor without a sign. Results of GELU are at least LEAST:
   for the product of them, their distance from it is rounded to 0..255, and Python's bias has what LEAST adds. For all
   other products weights are 128 higher, and values -127..127. */
typedef enum { RAISED_WEIGHTS, RAISED_VALUES } Kind;

/* Rows at int8: k values each, the scale of each group, and, for raised weights, the correction of each group's sum. */
typedef struct {
    const int8_t *values;
    const float *scales;
    const int32_t *excess;
} Bytes;

/* Assembly, because GCC 12 copies all sums at each step when this is an intrinsic: a third slower. */
#define ADD_DOTS(sum, unsigned_bytes, signed_bytes) \
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(unsigned_bytes), "v"(signed_bytes))

/* `grouped`: weights have a scale per output and group, else per output. */
INLINE ISA Sums multiply_bytes(int rows, Kind kind, int grouped, const Bytes *a, int64_t k, const int8_t *panel,
                               const float *scales) {
    Sums s;
    int64_t groups = k / GROUP;
    UNROLL for (int r = 0; r < rows; r++) s.of[r][0] = s.of[r][1] = _mm512_setzero_ps();
    for (int64_t g = 0; g < groups; g++) {
        __m512i sums[BYTE_ROWS][2];
        UNROLL for (int r = 0; r < rows; r++) sums[r][0] = sums[r][1] =
            kind == RAISED_WEIGHTS ? _mm512_set1_epi32(a->excess[r * groups + g]) : _mm512_setzero_si512();
        for (int i = 0; i < GROUP; i += 4, panel += 4 * PANEL) {
            __m512i left = _mm512_loadu_si512(panel), right = _mm512_loadu_si512(panel + 2 * PANEL);
            UNROLL for (int r = 0; r < rows; r++) {
                int32_t four;
                memcpy(&four, a->values + r * k + g * GROUP + i, 4);
                __m512i x = _mm512_set1_epi32(four);
                if (kind == RAISED_WEIGHTS) {
                    ADD_DOTS(sums[r][0], left, x);
                    ADD_DOTS(sums[r][1], right, x);
                } else {
                    ADD_DOTS(sums[r][0], x, left);
                    ADD_DOTS(sums[r][1], x, right);
                }
            }
        }
        __m512 left = _mm512_loadu_ps(scales), right = _mm512_loadu_ps(scales + 16);
        UNROLL for (int r = 0; r < rows; r++) {
            __m512 f = _mm512_set1_ps(a->scales[r * groups + g]), x = f, y = f;
            if (grouped) x = _mm512_mul_ps(f, left), y = _mm512_mul_ps(f, right);
            s.of[r][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r][0]), x, s.of[r][0]);
            s.of[r][1] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[r][1]), y, s.of[r][1]);
        }
        if (grouped) scales += PANEL;
    }
    if (grouped) return s;
    __m512 left = _mm512_loadu_ps(scales), right = _mm512_loadu_ps(scales + 16);
    UNROLL for (int r = 0; r < rows; r++) s.of[r][0] = _mm512_mul_ps(s.of[r][0], left),
                                          s.of[r][1] = _mm512_mul_ps(s.of[r][1], right);
    return s;
}

/* What follows a product: bias, activation, residual, rounding. */

INLINE ISA __m512 gelu(__m512 x) {
    /* x Phi(x); Phi - 1/2 by an odd polynomial up to 4.2, least maximum error of the product: 1.5e-5. */
    static const float terms[] = {4.924201324e-11f,  -4.795960671e-09f, 2.072573661e-07f,
                                  -5.289736225e-06f, 8.983771875e-05f,  -1.086469700e-03f,
                                  9.740971858e-03f,  -6.622209340e-02f, 3.988346145e-01f};
    __m512 c = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(4.2f)), _mm512_set1_ps(-4.2f)),
           square = _mm512_mul_ps(c, c);
    __m512 sum = _mm512_set1_ps(terms[0]);
    UNROLL for (int i = 1; i < 9; i++) sum = _mm512_fmadd_ps(sum, square, _mm512_set1_ps(terms[i]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(sum, c, _mm512_set1_ps(0.5f)));
}

INLINE ISA __m512 exponential(__m512 x) {
    /* 2^whole times a polynomial of the rest. The relative error is 7.5e-5, a twentieth of the rounding to bf16 that
       follows. NaN stays NaN. */
    x = _mm512_max_ps(_mm512_set1_ps(-126.f), _mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)));
    __m512 whole = _mm512_roundscale_ps(x, 8), rest = _mm512_sub_ps(x, whole), p = _mm512_set1_ps(0.05517167f);
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.24261114f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.69326099f));
    p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.99992807f));
    return _mm512_scalef_ps(p, whole);
}

INLINE ISA void store_halves(bf16 *to, __m512 left, __m512 right) {
    _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh(right, left));
}

typedef enum { HALVES, GELU, ADDED, WHOLE } Epilogue; /* bf16; GELU, then bf16; f32 added to the output; f32 */

INLINE ISA void finish(Epilogue epilogue, int rows, const Sums *s, const float *bias, void *to, int64_t stride) {
    __m512 left = _mm512_loadu_ps(bias), right = _mm512_loadu_ps(bias + 16);
    UNROLL for (int r = 0; r < rows; r++) {
        __m512 x = _mm512_add_ps(s->of[r][0], left), y = _mm512_add_ps(s->of[r][1], right);
        if (epilogue >= ADDED) {
            float *row = (float *)to + r * stride;
            if (epilogue == ADDED)
                x = _mm512_add_ps(x, _mm512_loadu_ps(row)), y = _mm512_add_ps(y, _mm512_loadu_ps(row + 16));
            _mm512_storeu_ps(row, x);
            _mm512_storeu_ps(row + 16, y);
        } else {
            if (epilogue == GELU) x = gelu(x), y = gelu(y);
            store_halves((bf16 *)to + r * stride, x, y);
        }
    }
}

/* A tile is some rows times one panel. The number of rows is a constant in each case. */
#define TILE(R)                                       \
    case R: {                                         \
        Sums s = multiply(R, a, stride, panel, k);    \
        finish(epilogue, R, &s, bias, to, to_stride); \
    } break;
#define TILES(NAME, EPILOGUE)                                                                                      \
    static ISA void NAME(int rows, const bf16 *a, int64_t stride, const bf16 *panel, int64_t k, const float *bias, \
                         void *to, int64_t to_stride) {                                                            \
        const Epilogue epilogue = EPILOGUE;                                                                        \
        switch (rows) {                                                                                            \
            TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)     \
        }                                                                                                          \
    }
TILES(halves, HALVES)
TILES(gelus, GELU)
TILES(added, ADDED)
TILES(whole, WHOLE)

static void (*const TILE_OF[])(int, const bf16 *, int64_t, const bf16 *, int64_t, const float *, void *,
                               int64_t) = {halves, gelus, added, whole};

/* At int8: from hidden states to GELU, and back; weights have scales per output, or per group, too. */
#define BYTE_TILE(R)                                                    \
    case R: {                                                           \
        Sums s = multiply_bytes(R, kind, grouped, a, k, panel, scales); \
        finish(epilogue, R, &s, bias, to, to_stride);                   \
    } break;
#define BYTE_TILES(NAME, KIND, EPILOGUE, GROUPED)                                                            \
    static ISA void NAME(int rows, const Bytes *a, int64_t k, const int8_t *panel, const float *scales,      \
                         const float *bias, void *to, int64_t to_stride) {                                   \
        const Kind kind = KIND;                                                                              \
        const Epilogue epilogue = EPILOGUE;                                                                  \
        const int grouped = GROUPED;                                                                         \
        switch (rows) { BYTE_TILE(1) BYTE_TILE(2) BYTE_TILE(3) BYTE_TILE(4) BYTE_TILE(5) BYTE_TILE(6) }      \
    }
BYTE_TILES(gelus_rows, RAISED_WEIGHTS, GELU, 0)
BYTE_TILES(gelus_groups, RAISED_WEIGHTS, GELU, 1)
BYTE_TILES(added_rows, RAISED_VALUES, ADDED, 0)
BYTE_TILES(added_groups, RAISED_VALUES, ADDED, 1)

static void (*const BYTE_TILE_OF[][2])(int, const Bytes *, int64_t, const int8_t *, const float *, const float *,
                                       void *, int64_t) = {{gelus_rows, gelus_groups}, {added_rows, added_groups}};

/* The memory of one thread. */
typedef struct {
    float *x; /* hidden states, f32 */
    bf16 *rounded, *qkv, *mixed, *wide;
    int8_t *bytes; /* the inputs of a product at int8, with their scales and corrections, as in Bytes */
    float *scales;
    int32_t *excess;
    bf16 *keys, *values, *shares; /* of one head and one sequence */
    float *scores;
} Arena;

static ISA void round_row(Kind kind, const bf16 *row, int64_t k, int8_t *values, float *scales, int32_t *excess) {
    const float largest = kind == RAISED_WEIGHTS ? 127 : 255;
    for (int64_t g = 0; g < k / GROUP; g++) {
        __m512 x[GROUP / 16];
        __m512i most = _mm512_setzero_si512(); /* bits of floats, compared as integers: NaN is the largest */
        UNROLL for (int i = 0; i < GROUP / 16; i++) {
            __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(row + g * GROUP + 16 * i)));
            x[i] = _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
            if (kind == RAISED_VALUES) x[i] = _mm512_sub_ps(x[i], _mm512_set1_ps(LEAST));
            most = _mm512_max_epi32(most, _mm512_castps_si512(_mm512_abs_ps(x[i])));
        }
        float top = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(most))));
        __m512 f = _mm512_set1_ps(top > 0 ? largest / top : 0);
        __m512i sum = _mm512_setzero_si512();
        UNROLL for (int i = 0; i < GROUP / 16; i++) {
            __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(x[i], f));
            if (kind == RAISED_VALUES) q = _mm512_max_epi32(q, _mm512_setzero_si512());
            else sum = _mm512_add_epi32(sum, q);
            _mm_storeu_si128((__m128i *)(values + g * GROUP + 16 * i), _mm512_cvtepi32_epi8(q));
        }
        scales[g] = top / largest;
        if (kind == RAISED_WEIGHTS) excess[g] = -128 * _mm512_reduce_add_epi32(sum);
    }
}

/* to (t, last - first) = epilogue(a (t, inputs) w' + bias), for the outputs from `first` to `last`. */
static ISA void linear(Epilogue epilogue, const Matrix *w, int64_t first, int64_t last, const bf16 *a, int64_t t,
                       void *to, int64_t to_stride, const Arena *arena) {
    int64_t k = w->inputs, groups = k / GROUP, size = w->scales ? 1 : 2, most = w->scales ? BYTE_ROWS : ROWS,
            tiles = (t + most - 1) / most;
    Kind kind = epilogue == ADDED ? RAISED_VALUES : RAISED_WEIGHTS;
    int grouped = w->scaled < k;
    int64_t share = (PANEL * k * size / 64 + tiles - 1) / tiles;
    for (int64_t i = 0; w->scales && i < t; i++) {
        int64_t at = i * groups;
        round_row(kind, a + i * k, k, arena->bytes + i * k, arena->scales + at, arena->excess + at);
    }
    for (int64_t p = first / PANEL; p < last / PANEL; p++) {
        const char *panel = (const char *)w->panels + p * PANEL * k * size, *ahead = panel + PANEL * k * size;
        for (int64_t i = 0; i < t; i += most) {
            int rows = (int)(t - i < most ? t - i : most);
            if (p + 1 < last / PANEL)
                for (int64_t c = 0; c < share; c++) _mm_prefetch(ahead + (i / most * share + c) * 64, _MM_HINT_T1);
            char *place = (char *)to + (i * to_stride + p * PANEL) * (epilogue >= ADDED ? 4 : 2);
            if (w->scales) {
                Bytes bytes = {arena->bytes + i * k, arena->scales + i * groups, arena->excess + i * groups};
                const float *scales = w->scales + p * PANEL * (k / w->scaled);
                BYTE_TILE_OF[kind][grouped](rows, &bytes, k, (const int8_t *)panel, scales, w->bias + p * PANEL, place,
                                            to_stride);
            } else {
                TILE_OF[epilogue](rows, a + i * k, k, (const bf16 *)panel, k, w->bias + p * PANEL, place, to_stride);
            }
        }
    }
}

static ISA void normalise(float *x, bf16 *rounded, int64_t h, const float *gain, const float *bias, float epsilon) {
    __m512 sum = _mm512_setzero_ps(), squares = sum;
    for (int64_t i = 0; i < h; i += 16) sum = _mm512_add_ps(sum, _mm512_loadu_ps(x + i));
    __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / (float)h);
    for (int64_t i = 0; i < h; i += 16) {
        __m512 d = _mm512_sub_ps(_mm512_loadu_ps(x + i), mean);
        squares = _mm512_fmadd_ps(d, d, squares);
    }
    __m512 f = _mm512_set1_ps(1.f / sqrtf(_mm512_reduce_add_ps(squares) / (float)h + epsilon));
    for (int64_t i = 0; i < h; i += 32) {
        __m512 y[2];
        UNROLL for (int j = 0; j < 2; j++) {
            __m512 d = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(x + i + 16 * j), mean), f);
            y[j] = _mm512_fmadd_ps(d, _mm512_loadu_ps(gain + i + 16 * j), _mm512_loadu_ps(bias + i + 16 * j));
            _mm512_storeu_ps(x + i + 16 * j, y[j]);
        }
        store_halves(rounded + i, y[0], y[1]);
    }
}

/* Attention of one head within one sequence. */

INLINE ISA void transpose(__m512i r[16]) {
    __m512i t[16];
    UNROLL for (int i = 0; i < 16; i += 2) t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]),
                                           t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    UNROLL for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]), r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]), r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88), t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88),
              t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88), r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88),
              r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

/* Write keys (m, dims) as panels of 32 keys, the right side of a product with queries; the last panel ends in zeros. */
static ISA void lay_keys(const bf16 *keys, int64_t m, int64_t stride, int64_t dims, bf16 *to) {
    for (int64_t j = 0; j < m; j += 16)
        for (int64_t d = 0; d < dims; d += 32) {
            __m512i r[16];
            UNROLL for (int i = 0; i < 16; i++) r[i] =
                j + i < m ? _mm512_loadu_si512(keys + (j + i) * stride + d) : _mm512_setzero_si512();
            transpose(r);
            bf16 *place = to + (j / PANEL) * PANEL * dims + (j % PANEL) * 2 + d * PANEL;
            UNROLL for (int i = 0; i < 16; i++) _mm512_storeu_si512(place + i * 2 * PANEL, r[i]);
        }
}

/* Write values (m, dims) as panels of 32 dimensions, the right side of a product with attention's shares. */
static ISA void lay_values(const bf16 *values, int64_t m, int64_t filled, int64_t stride, int64_t dims, bf16 *to) {
    __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5,
                                   36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
    __m512i high = _mm512_add_epi16(low, _mm512_set1_epi16(16)), zero = _mm512_setzero_si512();
    for (int64_t j = 0; j < filled; j += 2)
        for (int64_t d = 0; d < dims; d += 32) {
            __m512i x = j < m ? _mm512_loadu_si512(values + j * stride + d) : zero;
            __m512i y = j + 1 < m ? _mm512_loadu_si512(values + (j + 1) * stride + d) : zero;
            _mm512_storeu_si512(to + d * filled + j * PANEL, _mm512_permutex2var_epi16(x, low, y));
            _mm512_storeu_si512(to + d * filled + j * PANEL + PANEL, _mm512_permutex2var_epi16(x, high, y));
        }
}

#define SCORES(R)                                                                            \
    case R: {                                                                                \
        Sums s = multiply(R, q, stride, panel, dims);                                        \
        UNROLL for (int r = 0; r < R; r++) _mm512_storeu_ps(to + r * to_stride, s.of[r][0]), \
            _mm512_storeu_ps(to + r * to_stride + 16, s.of[r][1]);                           \
    } break;
static ISA void score_tile(int rows, const bf16 *q, int64_t stride, const bf16 *panel, int64_t dims, float *to,
                           int64_t to_stride) {
    switch (rows) {
        SCORES(1)
        SCORES(2) SCORES(3) SCORES(4) SCORES(5) SCORES(6) SCORES(7) SCORES(8) SCORES(9) SCORES(10) SCORES(11) SCORES(12)
    }
}

#define MIX(R)                                                                                            \
    case R: {                                                                                             \
        Sums s = multiply(R, shares, filled, panel, filled);                                              \
        UNROLL for (int r = 0; r < R; r++) {                                                              \
            __m512 f = _mm512_set1_ps(norm[r]);                                                           \
            store_halves(to + r * to_stride, _mm512_mul_ps(s.of[r][0], f), _mm512_mul_ps(s.of[r][1], f)); \
        }                                                                                                 \
    } break;
static ISA void value_tile(int rows, const bf16 *shares, int64_t filled, const bf16 *panel, const float *norm, bf16 *to,
                           int64_t to_stride) {
    switch (rows) {
        MIX(1) MIX(2) MIX(3) MIX(4) MIX(5) MIX(6) MIX(7) MIX(8) MIX(9) MIX(10) MIX(11) MIX(12)
    }
}

#define SOFTMAX_ROWS 6 /* rows of softmax that are computed side by side, so that none waits for its maximum */

/* For each row: shares = exp(scores - their maximum) of m keys, then zeros; norm = 1 / the sum of the shares. */
INLINE ISA void softmax_rows(int rows, float *scores, int64_t m, int64_t filled, bf16 *shares, float *norm) {
    __m512 most[SOFTMAX_ROWS], sum[SOFTMAX_ROWS], top[SOFTMAX_ROWS];
    UNROLL for (int r = 0; r < rows; r++) {
        for (int64_t j = m; j < filled; j++) scores[r * filled + j] = -INFINITY;
        most[r] = _mm512_loadu_ps(scores + r * filled);
        sum[r] = _mm512_setzero_ps();
    }
    for (int64_t j = 16; j < filled; j += 16)
        UNROLL for (int r = 0; r < rows; r++) most[r] =
            _mm512_max_ps(most[r], _mm512_loadu_ps(scores + r * filled + j));
    UNROLL for (int r = 0; r < rows; r++) top[r] = _mm512_set1_ps(_mm512_reduce_max_ps(most[r]));
    for (int64_t j = 0; j < filled; j += PANEL) UNROLL for (int r = 0; r < rows; r++) {
            __m512 x = exponential(_mm512_sub_ps(_mm512_loadu_ps(scores + r * filled + j), top[r]));
            __m512 y = exponential(_mm512_sub_ps(_mm512_loadu_ps(scores + r * filled + j + 16), top[r]));
            sum[r] = _mm512_add_ps(sum[r], _mm512_add_ps(x, y));
            store_halves(shares + r * filled + j, x, y);
        }
    UNROLL for (int r = 0; r < rows; r++) norm[r] = 1.f / _mm512_reduce_add_ps(sum[r]);
}

/* Attention of n queries over m keys and values, whose rows lie `stride` apart. */
static ISA void attention(const bf16 *q, int64_t n, int64_t q_stride, const bf16 *keys, const bf16 *values, int64_t m,
                       int64_t stride, int64_t dims, bf16 *to, int64_t to_stride, const Arena *arena) {
    int64_t filled = (m + PANEL - 1) / PANEL * PANEL;
    lay_keys(keys, m, stride, dims, arena->keys);
    lay_values(values, m, filled, stride, dims, arena->values);
    for (int64_t i = 0; i < n; i += ROWS) {
        int rows = (int)(n - i < ROWS ? n - i : ROWS);
        float norm[ROWS];
        for (int64_t j = 0; j < filled; j += PANEL)
            score_tile(rows, q + i * q_stride, q_stride, arena->keys + j * dims, dims, arena->scores + j, filled);
        int r = 0;
        for (; r + SOFTMAX_ROWS <= rows; r += SOFTMAX_ROWS)
            softmax_rows(SOFTMAX_ROWS, arena->scores + r * filled, m, filled, arena->shares + r * filled, norm + r);
        for (; r < rows; r++)
            softmax_rows(1, arena->scores + r * filled, m, filled, arena->shares + r * filled, norm + r);
        for (int64_t d = 0; d < dims; d += PANEL)
            value_tile(rows, arena->shares, filled, arena->values + d * filled, norm, to + i * to_stride + d,
                       to_stride);
    }
}

/* Sequences a to b go through all layers. */

static ISA void embed(const EncoderWork *w, int64_t a, int64_t b, const Arena *arena) {
    const EncoderModel *m = w->model;
    int64_t h = m->hidden;
    for (int64_t s = a; s < b; s++)
        for (int64_t i = w->starts[s]; i < w->starts[s + 1]; i++) {
            int64_t at = i - w->starts[a];
            const float *word = m->words + w->ids[i] * h, *place = m->places + (i - w->starts[s]) * h,
                        *kind = m->kinds + w->segments[i] * h;
            float *x = arena->x + at * h;
            for (int64_t d = 0; d < h; d += 16)
                _mm512_storeu_ps(x + d,
                                 _mm512_add_ps(_mm512_add_ps(_mm512_loadu_ps(word + d), _mm512_loadu_ps(kind + d)),
                                               _mm512_loadu_ps(place + d)));
            normalise(x, arena->rounded + at * h, h, m->gain, m->bias, m->epsilon);
        }
}

/* Move the hidden states of the first token of each sequence to the front of x and of rounded. */
static void first_tokens(const EncoderWork *w, int64_t a, int64_t b, const Arena *arena) {
    int64_t h = w->model->hidden;
    for (int64_t s = a; s < b; s++) {
        int64_t at = w->starts[s] - w->starts[a];
        memmove(arena->x + (s - a) * h, arena->x + at * h, (size_t)h * 4);
        memmove(arena->rounded + (s - a) * h, arena->rounded + at * h, (size_t)h * 2);
    }
}

static ISA void run_chunk(const EncoderWork *w, int64_t a, int64_t b, const Arena *arena) {
    const EncoderModel *m = w->model;
    int64_t h = m->hidden, dims = h / m->heads, t = w->starts[b] - w->starts[a];
    embed(w, a, b, arena);
    for (int64_t l = 0; l < m->layers; l++) {
        const Layer *y = m->layer + l;
        int last = w->first_only && l == m->layers - 1;
        linear(HALVES, &y->qkv, last ? h : 0, 3 * h, arena->rounded, t, arena->qkv, 3 * h, arena);
        if (last) {
            first_tokens(w, a, b, arena);
            t = b - a;
            linear(HALVES, &y->qkv, 0, h, arena->rounded, t, arena->wide, h, arena);
        }
        for (int64_t s = a; s < b; s++)
            for (int64_t g = 0; g < m->heads; g++) {
                int64_t at = w->starts[s] - w->starts[a], to = last ? s - a : at;
                const bf16 *qkv = arena->qkv + at * 3 * h + g * dims, *q = last ? arena->wide + to * h + g * dims : qkv;
                attention(q, last ? 1 : w->starts[s + 1] - w->starts[s], last ? h : 3 * h, qkv + h, qkv + 2 * h,
                       w->attended[s], 3 * h, dims, arena->mixed + to * h + g * dims, h, arena);
            }
        linear(ADDED, &y->merge, 0, h, arena->mixed, t, arena->x, h, arena);
        for (int64_t i = 0; i < t; i++)
            normalise(arena->x + i * h, arena->rounded + i * h, h, y->gain1, y->bias1, m->epsilon);
        linear(GELU, &y->up, 0, y->up.outputs, arena->rounded, t, arena->wide, y->up.outputs, arena);
        linear(ADDED, &y->down, 0, h, arena->wide, t, arena->x, h, arena);
        for (int64_t i = 0; i < t; i++)
            normalise(arena->x + i * h, arena->rounded + i * h, h, y->gain2, y->bias2, m->epsilon);
    }
    int64_t at = w->first_only ? a : w->starts[a];
    memcpy(w->hidden + at * h, arena->x, (size_t)(t * h) * 4);
    if (m->tail.outputs)
        linear(WHOLE, &m->tail, 0, m->tail.outputs, arena->rounded, t, w->tail + at * m->tail.outputs,
               m->tail.outputs, arena);
}

/* Take the next sequences: half of one thread's share of the rest, at least one. Returns 0 where none are left. */
static int claim_chunk(EncoderWork *w, int64_t *a, int64_t *b) {
    *a = __atomic_load_n(&w->next, __ATOMIC_RELAXED);
    do {
        if (*a >= w->n) return 0;
        int64_t size = (w->starts[w->n] - w->starts[*a]) / (2 * w->threads);
        size = size < SMALLEST ? SMALLEST : size > w->chunk ? w->chunk : size;
        for (*b = *a + 1; *b < w->n && w->starts[*b + 1] - w->starts[*a] <= size; ++*b) {}
    } while (!__atomic_compare_exchange_n(&w->next, a, *b, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return 1;
}

static void *reserve(char **at, int64_t bytes) {
    char *place = *at;
    *at += (bytes + 63) / 64 * 64;
    return place;
}

/* Place the arrays of a thread at `memory`; returns how many bytes they take. */
static int64_t lay_out(const EncoderWork *w, Arena *arena, char *memory) {
    const EncoderModel *m = w->model;
    int64_t h = m->hidden, wide = m->layer[0].up.outputs, t = 0;
    for (int64_t i = 0; i < w->n; i++) t = w->starts[i + 1] - w->starts[i] > t ? w->starts[i + 1] - w->starts[i] : t;
    int64_t filled = (t + PANEL - 1) / PANEL * PANEL, dims = h / m->heads;
    t = t > w->chunk ? t : w->chunk;
    char *at = memory;
    arena->x = reserve(&at, t * h * 4), arena->rounded = reserve(&at, t * h * 2);
    arena->mixed = reserve(&at, t * h * 2), arena->qkv = reserve(&at, t * 3 * h * 2);
    arena->wide = reserve(&at, t * wide * 2), arena->bytes = reserve(&at, t * wide);
    arena->scales = reserve(&at, t * wide / GROUP * 4), arena->excess = reserve(&at, t * wide / GROUP * 4);
    arena->keys = reserve(&at, filled * dims * 2), arena->values = reserve(&at, filled * dims * 2);
    arena->shares = reserve(&at, filled * ROWS * 2), arena->scores = reserve(&at, filled * ROWS * 4);
    return at - memory;
}

static void *encode_chunks(void *argument) {
    EncoderWork *w = argument;
    Arena arena;
    char *memory = aligned_alloc(64, (size_t)lay_out(w, &arena, NULL));
    int64_t a, b;
    if (!memory) {
        __atomic_store_n(&w->failed, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    lay_out(w, &arena, memory);
    while (claim_chunk(w, &a, &b)) run_chunk(w, a, b, &arena);
    free(memory);
    return NULL;
}

EXPORT int resift_encoder_level(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq");
}

/* Where the system starts fewer threads than `threads`, those that run do all of the work. */
EXPORT void resift_encode(EncoderWork *w) {
    pthread_t *others = malloc((size_t)w->threads * sizeof *others);
    int64_t started = 0;
    while (others && started < w->threads - 1 && !pthread_create(&others[started], NULL, encode_chunks, w)) started++;
    encode_chunks(w);
    for (int64_t i = 0; i < started; i++) pthread_join(others[i], NULL);
    free(others);
}

#else /* other processors */

EXPORT int resift_encoder_level(void) { return 0; }
EXPORT void resift_encode(EncoderWork *w) { w->failed = 1; }

#endif

static bf16 nearest(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
    return (bf16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Write a matrix (outputs, inputs) at bf16 as panels: 32 outputs, pairs of inputs side by side. */
EXPORT void resift_encoder_pack(const float *from, int64_t out, int64_t in, bf16 *to) {
    for (int64_t p = 0; p < out; p += PANEL)
        for (int64_t i = 0; i < in; i += 2)
            for (int64_t j = 0; j < PANEL; j++)
                for (int64_t e = 0; e < 2; e++) *to++ = nearest(from[(p + j) * in + i + e]);
}

/* The same for int8 values: four inputs side by side, each value `raised` by 0 or 128. */
EXPORT void resift_encoder_pack_bytes(const int8_t *from, int64_t out, int64_t in, int raised, uint8_t *to) {
    for (int64_t p = 0; p < out; p += PANEL)
        for (int64_t i = 0; i < in; i += 4)
            for (int64_t j = 0; j < PANEL; j++)
                for (int64_t e = 0; e < 4; e++) *to++ = (uint8_t)(from[(p + j) * in + i + e] + raised);
}

#define CALLS 2 /* to be raised here and in encoder_library.py when the arguments of an exported function change */

EXPORT uint64_t resift_encoder_layout(void) {
    static const LayoutEntry entries[] = {
        LAYOUT_CALLS(CALLS),
        LAYOUT_RECORD(Matrix),
        LAYOUT_FIELD(Matrix, inputs),
        LAYOUT_FIELD(Matrix, outputs),
        LAYOUT_FIELD(Matrix, scaled),
        LAYOUT_FIELD(Matrix, panels),
        LAYOUT_FIELD(Matrix, bias),
        LAYOUT_FIELD(Matrix, scales),
        LAYOUT_RECORD(Layer),
        LAYOUT_FIELD(Layer, qkv),
        LAYOUT_FIELD(Layer, merge),
        LAYOUT_FIELD(Layer, up),
        LAYOUT_FIELD(Layer, down),
        LAYOUT_FIELD(Layer, gain1),
        LAYOUT_FIELD(Layer, bias1),
        LAYOUT_FIELD(Layer, gain2),
        LAYOUT_FIELD(Layer, bias2),
        LAYOUT_RECORD(EncoderModel),
        LAYOUT_FIELD(EncoderModel, hidden),
        LAYOUT_FIELD(EncoderModel, heads),
        LAYOUT_FIELD(EncoderModel, layers),
        LAYOUT_FIELD(EncoderModel, epsilon),
        LAYOUT_FIELD(EncoderModel, words),
        LAYOUT_FIELD(EncoderModel, places),
        LAYOUT_FIELD(EncoderModel, kinds),
        LAYOUT_FIELD(EncoderModel, gain),
        LAYOUT_FIELD(EncoderModel, bias),
        LAYOUT_FIELD(EncoderModel, layer),
        LAYOUT_FIELD(EncoderModel, tail),
        LAYOUT_RECORD(EncoderWork),
        LAYOUT_FIELD(EncoderWork, model),
        LAYOUT_FIELD(EncoderWork, n),
        LAYOUT_FIELD(EncoderWork, chunk),
        LAYOUT_FIELD(EncoderWork, threads),
        LAYOUT_FIELD(EncoderWork, starts),
        LAYOUT_FIELD(EncoderWork, attended),
        LAYOUT_FIELD(EncoderWork, ids),
        LAYOUT_FIELD(EncoderWork, segments),
        LAYOUT_FIELD(EncoderWork, hidden),
        LAYOUT_FIELD(EncoderWork, tail),
        LAYOUT_FIELD(EncoderWork, first_only),
        LAYOUT_FIELD(EncoderWork, failed),
        LAYOUT_FIELD(EncoderWork, next),
    };
    return layout_number(entries, sizeof entries / sizeof *entries);
}
