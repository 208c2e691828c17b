/* MaxSim over documents of any lengths: the best match of each query token in each document. See maxsim.py.

   The code is plain C behind a plain C interface, so that one library serves every version of Python. hatch_build.py
   compiles it, maxsim_library.py loads it. Document i is lengths[i] rows of `dims` numbers at values[i]. The cosine of
   a row is its dot product with the query token, times scales[i][row], times the scale of the query token; a row whose
   scale is NaN never wins. Of equal rows the earliest wins. The results are places and cosines, n x query_length.
   Against int8 rows an int8 query finds the best row, and an int16 query gives its cosine; all these sums are exact.
   Against f16 rows all arithmetic is f32.

   On x86 with AVX-512 VNNI a register holds sixteen query tokens in the order that the instruction needs, and eight
   rows are multiplied by thirty-two query tokens before anything is stored. The kernel reads int8 rows where they lie:
   even a small copy in the cache takes longer than adding 128 to each number at every read. The AVX2 kernel multiplies
   four rows by sixteen query tokens, all widened to int16. */

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"
#define EXPORT __attribute__((visibility("default")))
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    int64_t n, dims, query_length;
    const void *const *values;
    const float *const *scales;
    const int64_t *lengths;
    int32_t *places;
    float *cosines;
    const void *query;          /* query_length x dims: int8 against int8 rows, f32 against f16 rows */
    const int16_t *query_int16; /* in int16, so small that dims products with int8 fit 32 bits; NULL: f16 rows */
    const float *int16_scales;  /* query_length */
    int level;                  /* at most the result of resift_maxsim_level; f16 rows need 3 */
} MaxSimWork;

/* What the threads share: the query in the order of the kernel, scratch memory of each thread, the number of threads
   that run, the first document that no thread has taken, and how many documents a thread takes at a time. */
typedef struct {
    const MaxSimWork *work;
    void *tokens;
    int32_t *offsets;
    float *scratch;
    int64_t running, next, batch;
} MaxSimJob;

/* Replace the coarse cosine of each match by the one with the int16 query. */
INLINE void rescore(const MaxSimWork *w, int64_t i) {
    for (int64_t k = 0; k < w->query_length; k++) {
        float *best = w->cosines + i * w->query_length + k;
        int32_t place = w->places[i * w->query_length + k], sum = 0;
        const int8_t *row = (const int8_t *)w->values[i] + place * w->dims;
        for (int64_t d = 0; d < w->dims; d++) sum += w->query_int16[k * w->dims + d] * (int16_t)row[d];
        if (*best != -INFINITY) *best = (float)sum * w->scales[i][place] * w->int16_scales[k];
    }
}

/* For any processor: each row against one query token after the other. */

static void portable_documents(const MaxSimWork *w, int64_t first, int64_t end) {
    const int8_t *query = w->query;
    for (int64_t i = first; i < end; i++) {
        float *best = w->cosines + i * w->query_length;
        int32_t *place = w->places + i * w->query_length;
        for (int64_t k = 0; k < w->query_length; k++) best[k] = -INFINITY, place[k] = 0;
        for (int64_t t = 0; t < w->lengths[i]; t++) {
            const int8_t *row = (const int8_t *)w->values[i] + t * w->dims;
            for (int64_t k = 0; k < w->query_length; k++) {
                const int8_t *token = query + k * w->dims;
                int32_t sum = 0;
                for (int64_t d = 0; d < w->dims; d++) sum += (int16_t)token[d] * (int16_t)row[d];
                float cosine = (float)sum * w->scales[i][t];
                if (cosine > best[k]) best[k] = cosine, place[k] = (int32_t)t;
            }
        }
        rescore(w, i);
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define UNROLL _Pragma("GCC unroll 8")
#define UNROLL16 _Pragma("GCC unroll 16")
#define LANES 16
#define AHEAD 4096 /* bytes between the row that is multiplied and the one that is fetched into the cache */
#define ROWS 8     /* by two registers of query tokens: sixteen sums at once hide the latency of a product */

#define LANES2 8
#define ROWS2 4

/* The 4-byte words into which a thread widens rows; the last ones are for a whole register. */
static int64_t scratch_size(const MaxSimWork *w) { return ((ROWS * w->dims + LANES - 1) / LANES + 1) * LANES; }

/* Some rows in int16 against one or two registers of query tokens. */
INLINE AVX2 void avx2_rows(__m256 *best, __m256i *place, const int16_t *rows_at, const float *scales, int64_t at,
                           int rows, int blocks, int64_t dims, const int16_t *query) {
    __m256i sums[2][ROWS2];
    UNROLL
    for (int t = 0; t < rows; t++)
        for (int b = 0; b < blocks; b++) sums[b][t] = _mm256_setzero_si256();
    for (int64_t d = 0; d < dims; d += 2) {
        __m256i tokens[2];
        for (int b = 0; b < blocks; b++)
            tokens[b] = _mm256_load_si256((const __m256i *)(query + LANES2 * (b * dims + d)));
        UNROLL
        for (int t = 0; t < rows; t++) {
            int32_t two;
            memcpy(&two, rows_at + t * dims + d, 4);
            __m256i row = _mm256_set1_epi32(two);
            for (int b = 0; b < blocks; b++)
                sums[b][t] = _mm256_add_epi32(sums[b][t], _mm256_madd_epi16(row, tokens[b]));
        }
    }
    UNROLL
    for (int t = 0; t < rows; t++)
        for (int b = 0; b < blocks; b++) {
            __m256 cosine = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[b][t]), _mm256_set1_ps(scales[at + t]));
            __m256 better = _mm256_cmp_ps(cosine, best[b], _CMP_GT_OQ);
            __m256i now = _mm256_set1_epi32((int32_t)(at + t));
            best[b] = _mm256_blendv_ps(best[b], cosine, better);
            place[b] = _mm256_blendv_epi8(place[b], now, _mm256_castps_si256(better));
        }
}

/* One document against one or two registers of query tokens, from query token `from` on. */
INLINE AVX2 void avx2_document(const MaxSimJob *job, int64_t i, int64_t from, int blocks, int16_t *widened) {
    const MaxSimWork *w = job->work;
    const int8_t *values = w->values[i];
    const int16_t *query = (const int16_t *)job->tokens + from * w->dims;
    int64_t length = w->lengths[i], dims = w->dims;
    __m256 best[2] = {_mm256_set1_ps(-INFINITY), _mm256_set1_ps(-INFINITY)};
    __m256i place[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int64_t next = 0; next < length; next += ROWS2) {
        int64_t at = next + ROWS2 <= length || length < ROWS2 ? next : length - ROWS2;
        int64_t size = (length < ROWS2 ? length : ROWS2) * dims, d = 0;
        for (; d + 16 <= size; d += 16) {
            __m128i row = _mm_loadu_si128((const __m128i *)(values + at * dims + d));
            _mm256_store_si256((__m256i *)(widened + d), _mm256_cvtepi8_epi16(row));
        }
        for (; d < size; d++) widened[d] = values[at * dims + d];
        if (length >= ROWS2) avx2_rows(best, place, widened, w->scales[i], at, ROWS2, blocks, dims, query);
        else
            for (; at < length; at++)
                avx2_rows(best, place, widened + at * dims, w->scales[i], at, 1, blocks, dims, query);
    }
    for (int b = 0; b < blocks; b++) {
        float cosines[LANES2];
        int32_t places[LANES2];
        _mm256_storeu_ps(cosines, best[b]);
        _mm256_storeu_si256((__m256i *)places, place[b]);
        int64_t k = from + b * LANES2, count = w->query_length - k < LANES2 ? w->query_length - k : LANES2;
        memcpy(w->cosines + i * w->query_length + k, cosines, (size_t)count * 4);
        memcpy(w->places + i * w->query_length + k, places, (size_t)count * 4);
    }
}

AVX2 static void avx2_documents(const MaxSimJob *job, int64_t thread, int64_t first, int64_t end) {
    const MaxSimWork *w = job->work;
    int16_t *widened = (int16_t *)(job->scratch + thread * scratch_size(w));
    for (int64_t i = first; i < end; i++) {
        for (int64_t k = 0; k < w->query_length; k += 2 * LANES2)
            if (k + LANES2 < w->query_length) avx2_document(job, i, k, 2, widened);
            else avx2_document(job, i, k, 1, widened);
        rescore(w, i);
    }
}

typedef struct {
    __m512 cosine[2];
    __m512i place[2];
} Matches;

INLINE AVX512 void keep_better(Matches *matches, const __m512 sums[2][ROWS], int rows, int blocks, const float *scales,
                             int64_t at) {
    UNROLL
    for (int t = 0; t < rows; t++)
        for (int b = 0; b < blocks; b++) {
            __m512 cosine = _mm512_mul_ps(sums[b][t], _mm512_set1_ps(scales[at + t]));
            __mmask16 better = _mm512_cmp_ps_mask(cosine, matches->cosine[b], _CMP_GT_OQ);
            matches->cosine[b] = _mm512_mask_mov_ps(matches->cosine[b], better, cosine);
            matches->place[b] = _mm512_mask_mov_epi32(matches->place[b], better, _mm512_set1_epi32((int32_t)(at + t)));
        }
}

/* The instruction multiplies unsigned by signed numbers: 128 is added to each number of a row when it is read, and
   `offsets`, -128 x sum(query), makes up for it. */
INLINE AVX512 void int8_rows(Matches *matches, const int8_t *from, const float *scales, int64_t at, int rows,
                             int blocks, int64_t dims, const int8_t *query, const int32_t *offsets) {
    __m512i sums[2][ROWS];
    UNROLL
    for (int t = 0; t < rows; t++)
        for (int b = 0; b < blocks; b++) sums[b][t] = _mm512_load_si512(offsets + LANES * b);
    for (int64_t d = 0; d < dims; d += 4) {
        if (d % 8 == 0) _mm_prefetch((const char *)from + AHEAD + ROWS * d, _MM_HINT_T0);
        __m512i tokens[2];
        for (int b = 0; b < blocks; b++) tokens[b] = _mm512_load_si512(query + LANES * (b * dims + d));
        UNROLL
        for (int t = 0; t < rows; t++) {
            int32_t four;
            memcpy(&four, from + t * dims + d, 4);
            __m512i row = _mm512_xor_si512(_mm512_set1_epi32(four), _mm512_set1_epi8(-128));
            for (int b = 0; b < blocks; b++) sums[b][t] = _mm512_dpbusd_epi32(sums[b][t], row, tokens[b]);
        }
    }
    __m512 products[2][ROWS];
    UNROLL
    for (int t = 0; t < rows; t++)
        for (int b = 0; b < blocks; b++) products[b][t] = _mm512_cvtepi32_ps(sums[b][t]);
    keep_better(matches, products, rows, blocks, scales, at);
}

INLINE AVX512 void half_rows(Matches *matches, const uint16_t *from, const float *scales, int64_t at, int rows,
                             int blocks, int64_t dims, const float *query, float *widened) {
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
    keep_better(matches, sums, rows, blocks, scales, at);
}

/* One document against one or two registers of query tokens. The last ROWS rows are multiplied together even if some of
   them were multiplied before: that changes no maximum and is faster than one row at a time. */
#define DOCUMENT(NAME, TYPE, BESIDE, CALL)                                                                         \
    INLINE AVX512 void NAME(Matches *matches, const TYPE *values, const float *scales, int64_t length, int blocks, \
                            int64_t dims, const void *query, BESIDE *beside) {                                     \
        for (int b = 0; b < 2; b++) {                                                                              \
            matches->cosine[b] = _mm512_set1_ps(-INFINITY);                                                        \
            matches->place[b] = _mm512_setzero_si512();                                                            \
        }                                                                                                          \
        if (length < ROWS) {                                                                                       \
            for (int64_t at = 0; at < length; at++) CALL(1);                                                       \
            return;                                                                                                \
        }                                                                                                          \
        for (int64_t next = 0; next < length; next += ROWS) {                                                      \
            int64_t at = next + ROWS <= length ? next : length - ROWS;                                             \
            CALL(ROWS);                                                                                            \
        }                                                                                                          \
    }
#define INT8_CALL(rows) int8_rows(matches, values + at * dims, scales, at, rows, blocks, dims, query, beside)
#define HALF_CALL(rows) half_rows(matches, values + at * dims, scales, at, rows, blocks, dims, query, beside)
DOCUMENT(int8_document, int8_t, const int32_t, INT8_CALL)
DOCUMENT(half_document, uint16_t, float, HALF_CALL)

AVX512 static void store(const MaxSimWork *w, int64_t i, int64_t first, __m512 best, __m512i place) {
    int64_t left = w->query_length - first;
    __mmask16 there = left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1);
    _mm512_mask_storeu_ps(w->cosines + i * w->query_length + first, there, best);
    _mm512_mask_storeu_epi32(w->places + i * w->query_length + first, there, place);
}

/* The sum of each of sixteen registers: lane l of the result has the sum of register ORDER(l). */
#define ORDER(l) ((l) % 4 * 4 + (l) / 4 % 2 * 2 + (l) / 8)
INLINE AVX512 __m512i sums_of(__m512i *r) {
    UNROLL
    for (int i = 0; i < 8; i++)
        r[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(r[i], r[i + 8]), _mm512_unpackhi_epi32(r[i], r[i + 8]));
    UNROLL
    for (int i = 0; i < 4; i++)
        r[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(r[i], r[i + 4]), _mm512_unpackhi_epi32(r[i], r[i + 4]));
    UNROLL
    for (int i = 0; i < 2; i++)
        r[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(r[i], r[i + 2], 0x88), _mm512_shuffle_i32x4(r[i], r[i + 2], 0xdd));
    return _mm512_add_epi32(_mm512_shuffle_i32x4(r[0], r[1], 0x88), _mm512_shuffle_i32x4(r[0], r[1], 0xdd));
}

/* The same for sixteen query tokens at a time. */
AVX512 static void rescore_sixteen(const MaxSimWork *w, int64_t i) {
    for (int64_t first = 0; first < w->query_length; first += LANES) {
        int64_t left = w->query_length - first < LANES ? w->query_length - first : LANES;
        __mmask16 lanes = (__mmask16)((1u << left) - 1);
        float *best = w->cosines + i * w->query_length + first;
        const int32_t *places = w->places + i * w->query_length + first;
        const int16_t *query_int16 = w->query_int16 + first * w->dims;
        const int8_t *rows[LANES];
        for (int l = 0; l < LANES; l++) rows[l] = (const int8_t *)w->values[i] + places[l < left ? l : 0] * w->dims;
        __m512i sums[LANES];
        UNROLL16
        for (int l = 0; l < LANES; l++) sums[l] = _mm512_setzero_si512();
        for (int64_t d = 0; d < w->dims; d += 32) {
            __mmask32 there = w->dims - d >= 32 ? ~0u : (1u << (w->dims - d)) - 1;
            UNROLL16
            for (int l = 0; l < LANES; l++) {
                __m512i row = _mm512_cvtepi8_epi16(_mm256_maskz_loadu_epi8(there, rows[l] + d));
                __m512i token = _mm512_maskz_loadu_epi16(l < left ? there : 0, query_int16 + l * w->dims + d);
                sums[ORDER(l)] = _mm512_dpwssd_epi32(sums[ORDER(l)], row, token);
            }
        }
        __m512 coarse = _mm512_maskz_loadu_ps(lanes, best);
        lanes &= _mm512_cmp_ps_mask(coarse, _mm512_set1_ps(-INFINITY), _CMP_NEQ_OQ);
        __m512i at = _mm512_maskz_loadu_epi32(lanes, places);
        __m512 scale = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), lanes, at, w->scales[i], 4);
        __m512 cosine = _mm512_mul_ps(_mm512_cvtepi32_ps(sums_of(sums)), scale);
        __m512 token_scale = _mm512_maskz_loadu_ps(lanes, w->int16_scales + first);
        _mm512_mask_storeu_ps(best, lanes, _mm512_mul_ps(cosine, token_scale));
    }
}

#define DOCUMENTS(NAME, DOCUMENT_OF, TYPE, BESIDE)                                                                 \
    AVX512 static void NAME(const MaxSimJob *job, int64_t thread, int64_t first, int64_t end) {                    \
        const MaxSimWork *w = job->work;                                                                           \
        int64_t blocks = (w->query_length + LANES - 1) / LANES;                                                    \
        for (int64_t i = first; i < end; i++) {                                                                    \
            for (int64_t b = 0; b < blocks; b += 2) {                                                              \
                const TYPE *tokens = (const TYPE *)job->tokens + b * LANES * w->dims;                              \
                Matches matches;                                                                                   \
                if (b + 1 < blocks)                                                                                \
                    DOCUMENT_OF(&matches, w->values[i], w->scales[i], w->lengths[i], 2, w->dims, tokens, BESIDE);  \
                else DOCUMENT_OF(&matches, w->values[i], w->scales[i], w->lengths[i], 1, w->dims, tokens, BESIDE); \
                store(w, i, b * LANES, matches.cosine[0], matches.place[0]);                                       \
                if (b + 1 < blocks) store(w, i, (b + 1) * LANES, matches.cosine[1], matches.place[1]);             \
            }                                                                                                      \
            if (w->query_int16) rescore_sixteen(w, i);                                                             \
        }                                                                                                          \
        (void)thread;                                                                                              \
    }
DOCUMENTS(int8_documents, int8_document, int8_t, job->offsets + b * LANES)
DOCUMENTS(half_documents, half_document, float, job->scratch + thread * scratch_size(w))

static int by_avx512(const MaxSimWork *w) { return w->level >= 3 && (!w->query_int16 || w->dims % 4 == 0); }
static int by_avx2(const MaxSimWork *w) { return w->level >= 2 && w->query_int16 && w->dims % 2 == 0; }

/* Write the query in blocks of as many tokens as a register has lanes, and within a block in groups of as many
   dimensions as one lane holds: 16 tokens with 4 int8 dimensions or 1 of f32; with AVX2 8 tokens with 2 of int16. */
static void lay_out(const MaxSimJob *job) {
    const MaxSimWork *w = job->work;
    if (by_avx512(w)) {
        int group = w->query_int16 ? 4 : 1;
        const int32_t *from = w->query; /* four bytes in either case */
        int32_t *to = job->tokens;
        for (int64_t k = 0; k < w->query_length; k++)
            for (int64_t d = 0; d < w->dims / group; d++)
                to[k / LANES * LANES * (w->dims / group) + d * LANES + k % LANES] = from[k * (w->dims / group) + d];
        for (int64_t k = 0; w->query_int16 && k < w->query_length; k++)
            for (int64_t d = 0; d < w->dims; d++) job->offsets[k] -= 128 * ((const int8_t *)w->query)[k * w->dims + d];
        return;
    }
    const int8_t *from = w->query;
    int16_t *to = job->tokens;
    for (int64_t k = 0; k < w->query_length; k++)
        for (int64_t d = 0; d < w->dims; d++)
            to[k / LANES2 * LANES2 * w->dims + d / 2 * 2 * LANES2 + k % LANES2 * 2 + d % 2] = from[k * w->dims + d];
}

static void *zeros(int64_t bytes) {
    int64_t whole = (bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, (size_t)whole);
    return memory ? memset(memory, 0, (size_t)whole) : NULL;
}

static int prepare(MaxSimJob *job, int threads) {
    const MaxSimWork *w = job->work;
    if (!by_avx512(w) && !by_avx2(w)) return 1;
    int64_t padded = (w->query_length + LANES - 1) / LANES * LANES;
    job->tokens = zeros(padded * w->dims * 4);
    job->offsets = zeros(padded * 4);
    job->scratch = zeros(threads * scratch_size(w) * 4);
    if (!job->tokens || !job->offsets || !job->scratch) return 0;
    lay_out(job);
    return 1;
}

static void documents(const MaxSimJob *job, int64_t thread, int64_t first, int64_t end) {
    if (by_avx512(job->work)) (job->work->query_int16 ? int8_documents : half_documents)(job, thread, first, end);
    else if (by_avx2(job->work)) avx2_documents(job, thread, first, end);
    else portable_documents(job->work, first, end);
}
#else
static int prepare(MaxSimJob *job, int threads) { return job && threads; }
static void documents(const MaxSimJob *job, int64_t thread, int64_t first, int64_t end) {
    (void)thread;
    portable_documents(job->work, first, end);
}
#endif

/* The best kernel of this processor: 3 AVX-512 VNNI, for int8 and f16 rows; 2 AVX2, int8 rows; 1 any, int8 rows. */
EXPORT int resift_maxsim_level(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
        return 3;
    if (__builtin_cpu_supports("avx2")) return 2;
#endif
    return 1;
}

#define THREADS 256
#define LARGEST_BATCH 8 /* documents that a thread takes at a time, at most: so no thread waits long for a late one */

static void *run(void *argument) {
    MaxSimJob *job = argument;
    int64_t n = job->work->n, thread = __atomic_fetch_add(&job->running, 1, __ATOMIC_RELAXED), first;
    while ((first = __atomic_fetch_add(&job->next, job->batch, __ATOMIC_RELAXED)) < n)
        documents(job, thread, first, first + job->batch < n ? first + job->batch : n);
    return NULL;
}

/* Returns 0 where memory ran out, else 1. */
EXPORT int resift_maxsim(const MaxSimWork *work, int threads) {
    MaxSimJob job = {.work = work};
    if (threads > THREADS) threads = THREADS;
    if (threads < 1) threads = 1;
    int64_t share = work->n / (4 * threads);
    job.batch = share < 1 ? 1 : share > LARGEST_BATCH ? LARGEST_BATCH : share;
    int done = prepare(&job, threads), started = 0;
    pthread_t ids[THREADS];
    while (done && started + 1 < threads && pthread_create(&ids[started], NULL, run, &job) == 0) started++;
    if (done) run(&job);
    for (int i = 0; i < started; i++) pthread_join(ids[i], NULL);
    free(job.tokens), free(job.offsets), free(job.scratch);
    return done;
}

#define CALLS 1 /* to be raised here and in maxsim_library.py when the arguments of an exported function change */

EXPORT uint64_t resift_maxsim_layout(void) {
    static const LayoutEntry entries[] = {
        LAYOUT_CALLS(CALLS),
        LAYOUT_RECORD(MaxSimWork),
        LAYOUT_FIELD(MaxSimWork, n),
        LAYOUT_FIELD(MaxSimWork, dims),
        LAYOUT_FIELD(MaxSimWork, query_length),
        LAYOUT_FIELD(MaxSimWork, values),
        LAYOUT_FIELD(MaxSimWork, scales),
        LAYOUT_FIELD(MaxSimWork, lengths),
        LAYOUT_FIELD(MaxSimWork, places),
        LAYOUT_FIELD(MaxSimWork, cosines),
        LAYOUT_FIELD(MaxSimWork, query),
        LAYOUT_FIELD(MaxSimWork, query_int16),
        LAYOUT_FIELD(MaxSimWork, int16_scales),
        LAYOUT_FIELD(MaxSimWork, level),
    };
    return layout_number(entries, sizeof entries / sizeof *entries);
}
