/* MaxSim over ragged documents: for each query token its best match in each document. See maxsim.py.

   Plain C behind a plain C interface, so that one library serves every Python: built by hatch_build.py, loaded by
   native.py. Document i is lengths[i] rows of `dims` numbers at values[i]. A row's cosine is its dot product times
   scales[i][row] times the query token's scale; a row whose scale is NaN never wins. Ties go to the earliest row.
   Writes places and cosines, n x asked. Against int8 rows the best is found with an int8 query, and its cosine is then
   computed with an int16 one; all these sums are exact. Against halves all is f32.

   On x86 with AVX-512 VNNI sixteen query tokens lie in one register, in the order in which the instruction takes them,
   and eight rows are multiplied by thirty-two query tokens before anything is stored. */

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    int64_t n, dims, asked;
    const void *const *values;
    const float *const *scales;
    const int64_t *lengths;
    int32_t *places;
    float *cosines;
    const void *query;         /* asked x dims, int8 against int8, f32 against halves */
    const int16_t *fine;       /* the same in int16, so small that dims products with int8 fit 32 bits; NULL: halves */
    const float *fine_scales;  /* asked */
    int level;                 /* at most what resift_maxsim_level gives; halves need 2 */
    int done;                  /* out: 0 when memory ran out */
} Work;

/* Any processor: a row against one query token after the other. */

INLINE void plain_rows(const Work *w) {
    const int8_t *query = w->query;
    for (int64_t i = 0; i < w->n; i++) {
        float *best = w->cosines + i * w->asked;
        int32_t *place = w->places + i * w->asked;
        for (int64_t k = 0; k < w->asked; k++) best[k] = -INFINITY, place[k] = 0;
        for (int64_t t = 0; t < w->lengths[i]; t++) {
            const int8_t *row = (const int8_t *)w->values[i] + t * w->dims;
            for (int64_t k = 0; k < w->asked; k++) {
                const int8_t *token = query + k * w->dims;
                int32_t sum = 0;
                for (int64_t d = 0; d < w->dims; d++) sum += (int16_t)token[d] * (int16_t)row[d];
                float cosine = (float)sum * w->scales[i][t];
                if (cosine > best[k]) best[k] = cosine, place[k] = (int32_t)t;
            }
        }
        for (int64_t k = 0; k < w->asked; k++) {
            const int8_t *row = (const int8_t *)w->values[i] + place[k] * w->dims;
            int32_t sum = 0;
            for (int64_t d = 0; d < w->dims; d++) sum += w->fine[k * w->dims + d] * (int16_t)row[d];
            best[k] = best[k] == -INFINITY ? best[k] : (float)sum * w->scales[i][place[k]] * w->fine_scales[k];
        }
    }
}

static void plain(const Work *w) { plain_rows(w); }

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define UNROLL _Pragma("GCC unroll 8")
#define LANES 16
#define ROWS 8 /* times two registers of query tokens: sixteen sums under way hide the latency of a product */

__attribute__((target("avx2"))) static void plain_avx2(const Work *w) { plain_rows(w); }

typedef struct {
    __m512 best[2];
    __m512i place[2];
} Best;

INLINE AVX512 void keep_best(Best *own, const __m512 sums[2][ROWS], int rows, int blocks, const float *scales, int64_t at) {
UNROLL
    for (int t = 0; t < rows; t++)
        for (int b = 0; b < blocks; b++) {
            __m512 cosine = _mm512_mul_ps(sums[b][t], _mm512_set1_ps(scales[at + t]));
            __mmask16 better = _mm512_cmp_ps_mask(cosine, own->best[b], _CMP_GT_OQ);
            own->best[b] = _mm512_mask_mov_ps(own->best[b], better, cosine);
            own->place[b] = _mm512_mask_mov_epi32(own->place[b], better, _mm512_set1_epi32((int32_t)(at + t)));
        }
}

/* The instruction multiplies unsigned by signed: rows are read with 128 added, and `less` takes 128 x sum(query) off. */
INLINE AVX512 void int8_rows(Best *own, const int8_t *from, const float *scales, int64_t at, int rows, int blocks,
                             int64_t dims, const int8_t *query, const __m512i *less, uint8_t *shifted) {
    int64_t size = rows * dims, i = 0;
    for (; i + 64 <= size; i += 64)
        _mm512_storeu_si512(shifted + i, _mm512_xor_si512(_mm512_loadu_si512(from + i), _mm512_set1_epi8(-128)));
    for (; i < size; i++) shifted[i] = (uint8_t)(from[i] ^ 0x80);
    __m512i sums[2][ROWS];
UNROLL
    for (int t = 0; t < rows; t++)
        for (int b = 0; b < blocks; b++) sums[b][t] = less[b];
    for (int64_t d = 0; d < dims; d += 4) {
        __m512i tokens[2];
        for (int b = 0; b < blocks; b++) tokens[b] = _mm512_load_si512(query + LANES * (b * dims + d));
UNROLL
        for (int t = 0; t < rows; t++) {
            int32_t four;
            memcpy(&four, shifted + t * dims + d, 4);
            __m512i row = _mm512_set1_epi32(four);
            for (int b = 0; b < blocks; b++) sums[b][t] = _mm512_dpbusd_epi32(sums[b][t], row, tokens[b]);
        }
    }
    __m512 exact[2][ROWS];
UNROLL
    for (int t = 0; t < rows; t++)
        for (int b = 0; b < blocks; b++) exact[b][t] = _mm512_cvtepi32_ps(sums[b][t]);
    keep_best(own, exact, rows, blocks, scales, at);
}

INLINE AVX512 void half_rows(Best *own, const uint16_t *from, const float *scales, int64_t at, int rows, int blocks,
                             int64_t dims, const float *query, float *widened) {
    int64_t size = rows * dims;
    for (int64_t i = 0; i < size; i += LANES) {
        __mmask16 there = size - i >= LANES ? 0xffff : (__mmask16)((1u << (size - i)) - 1);
        __m256i halves = _mm256_maskz_loadu_epi16(there, from + i);
        _mm512_storeu_ps(widened + i, _mm512_cvtph_ps(halves));
    }
    __m512 sums[2][ROWS];
UNROLL
    for (int t = 0; t < rows; t++)
        for (int b = 0; b < blocks; b++) sums[b][t] = _mm512_setzero_ps();
    for (int64_t d = 0; d < dims; d++) {
        __m512 tokens[2];
        for (int b = 0; b < blocks; b++) tokens[b] = _mm512_load_ps(query + LANES * (b * dims + d));
UNROLL
        for (int t = 0; t < rows; t++) {
            __m512 row = _mm512_set1_ps(widened[t * dims + d]);
            for (int b = 0; b < blocks; b++) sums[b][t] = _mm512_fmadd_ps(row, tokens[b], sums[b][t]);
        }
    }
    keep_best(own, sums, rows, blocks, scales, at);
}

/* One document against one or two registers of query tokens. The last rows are taken together with some that were seen
   already, which changes no maximum, instead of one by one. */
#define DOCUMENT(NAME, TYPE, CALL)                                                                                     \
    INLINE AVX512 void NAME(Best *own, const TYPE *values, const float *scales, int64_t length, int blocks,            \
                            int64_t dims, const void *query, const __m512i *less, void *scratch) {                     \
        (void)less;                                                                                                    \
        for (int b = 0; b < 2; b++) {                                                                                  \
            own->best[b] = _mm512_set1_ps(-INFINITY);                                                                  \
            own->place[b] = _mm512_setzero_si512();                                                                    \
        }                                                                                                              \
        if (length < ROWS) {                                                                                           \
            for (int64_t at = 0; at < length; at++) CALL(1);                                                           \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t next = 0; next < length; next += ROWS) {                                                          \
            int64_t at = next + ROWS <= length ? next : length - ROWS;                                                 \
            CALL(ROWS);                                                                                                \
        }                                                                                                              \
    }
#define INT8_CALL(rows) int8_rows(own, values + at * dims, scales, at, rows, blocks, dims, query, less, scratch)
#define HALF_CALL(rows) half_rows(own, values + at * dims, scales, at, rows, blocks, dims, query, scratch)
DOCUMENT(int8_document, int8_t, INT8_CALL)
DOCUMENT(half_document, uint16_t, HALF_CALL)

AVX512 static void store(const Work *w, int64_t i, int64_t first, __m512 best, __m512i place) {
    int64_t left = w->asked - first;
    __mmask16 there = left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1);
    _mm512_mask_storeu_ps(w->cosines + i * w->asked + first, there, best);
    _mm512_mask_storeu_epi32(w->places + i * w->asked + first, there, place);
}

/* The exact cosine of the matches that were found. */
AVX512 static void refine(const Work *w, int64_t i) {
    for (int64_t k = 0; k < w->asked; k++) {
        float *best = w->cosines + i * w->asked + k;
        int32_t place = w->places[i * w->asked + k];
        const int8_t *row = (const int8_t *)w->values[i] + place * w->dims;
        const int16_t *token = w->fine + k * w->dims;
        __m512i sums = _mm512_setzero_si512();
        int64_t d = 0;
        for (; d + 32 <= w->dims; d += 32) {
            __m512i wide = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(row + d)));
            sums = _mm512_dpwssd_epi32(sums, wide, _mm512_loadu_si512(token + d));
        }
        int32_t sum = _mm512_reduce_add_epi32(sums);
        for (; d < w->dims; d++) sum += (int32_t)token[d] * row[d];
        if (*best != -INFINITY) *best = (float)sum * w->scales[i][place] * w->fine_scales[k];
    }
}

static void *aligned(int64_t bytes) { return aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64)); }

#define ALL_DOCUMENTS(DOCUMENT_OF, QUERY, LESS)                                                                        \
    for (int64_t i = 0; i < w->n; i++)                                                                                 \
        for (int64_t b = 0; b < blocks; b += 2) {                                                                      \
            Best own;                                                                                                  \
            if (b + 1 < blocks)                                                                                        \
                DOCUMENT_OF(&own, w->values[i], w->scales[i], w->lengths[i], 2, w->dims, QUERY, LESS, scratch);        \
            else                                                                                                       \
                DOCUMENT_OF(&own, w->values[i], w->scales[i], w->lengths[i], 1, w->dims, QUERY, LESS, scratch);        \
            store(w, i, b * LANES, own.best[0], own.place[0]);                                                         \
            if (b + 1 < blocks) store(w, i, (b + 1) * LANES, own.best[1], own.place[1]);                               \
            if (b + 2 >= blocks && w->fine) refine(w, i);                                                              \
        }

/* Query tokens in the order of the instruction: blocks of 16 tokens, in them groups of 4 dimensions. */
AVX512 static int int8_avx512(const Work *w) {
    const int8_t *query = w->query;
    int64_t blocks = (w->asked + LANES - 1) / LANES, dims = w->dims;
    int8_t *tokens = aligned(blocks * LANES * dims);
    int32_t *less = aligned(blocks * LANES * 4);
    uint8_t *scratch = aligned(ROWS * dims);
    int done = tokens && less && scratch;
    if (done) {
        memset(tokens, 0, (size_t)(blocks * LANES * dims));
        memset(less, 0, (size_t)(blocks * LANES * 4));
        for (int64_t k = 0; k < w->asked; k++)
            for (int64_t d = 0; d < dims; d++) {
                int8_t value = query[k * dims + d];
                tokens[LANES * (k / LANES * dims + d / 4 * 4) + k % LANES * 4 + d % 4] = value;
                less[k] -= 128 * value;
            }
        ALL_DOCUMENTS(int8_document, tokens + b * LANES * dims, (const __m512i *)less + b)
    }
    free(tokens), free(less), free(scratch);
    return done;
}

AVX512 static int half_avx512(const Work *w) {
    const float *query = w->query;
    int64_t blocks = (w->asked + LANES - 1) / LANES, dims = w->dims;
    float *tokens = aligned(blocks * LANES * dims * 4);
    float *scratch = aligned((ROWS * dims + LANES) * 4);
    int done = tokens && scratch;
    if (done) {
        memset(tokens, 0, (size_t)(blocks * LANES * dims * 4));
        for (int64_t k = 0; k < w->asked; k++)
            for (int64_t d = 0; d < dims; d++) tokens[LANES * (k / LANES * dims + d) + k % LANES] = query[k * dims + d];
        ALL_DOCUMENTS(half_document, tokens + b * LANES * dims, (const __m512i *)0)
    }
    free(tokens), free(scratch);
    return done;
}
#endif

/* What this processor can: 2 AVX-512 VNNI, int8 and halves; 1 int8 only. */
EXPORT int resift_maxsim_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
        return 2;
#endif
    return 1;
}

static void *run(void *given) {
    Work *w = given;
    w->done = 1;
#if defined(__x86_64__)
    if (!w->fine)
        w->done = half_avx512(w);
    else if (w->level >= 2 && w->dims % 4 == 0)
        w->done = int8_avx512(w);
    else if (__builtin_cpu_supports("avx2"))
        plain_avx2(w);
    else
        plain(w);
#else
    plain(w);
#endif
    return NULL;
}

#define THREADS 256

/* Each thread takes a range of documents with about equally many rows. Returns 0 when memory ran out, else 1. */
EXPORT int resift_maxsim(const Work *whole, int threads) {
    pthread_t ids[THREADS];
    Work parts[THREADS];
    int64_t total = 0, seen = 0, i = 0;
    int started[THREADS], done = 1;
    if (threads > THREADS) threads = THREADS;
    if (threads < 1) threads = 1;
    for (int64_t k = 0; k < whole->n; k++) total += whole->lengths[k];
    for (int p = 0; p < threads; p++) {
        int64_t first = i;
        while (i < whole->n && (p == threads - 1 || seen < total * (p + 1) / threads)) seen += whole->lengths[i++];
        parts[p] = *whole;
        parts[p].n = i - first;
        parts[p].values += first, parts[p].scales += first, parts[p].lengths += first;
        parts[p].places += first * whole->asked, parts[p].cosines += first * whole->asked;
        started[p] = p < threads - 1 && pthread_create(&ids[p], NULL, run, &parts[p]) == 0;
        if (!started[p]) run(&parts[p]);
    }
    for (int p = 0; p < threads; p++) {
        if (started[p]) pthread_join(ids[p], NULL);
        done &= parts[p].done;
    }
    return done;
}
