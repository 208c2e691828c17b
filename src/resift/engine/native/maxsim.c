/* MaxSim over ragged documents: for each query token its best match in each document. See maxsim.py.

   Plain C behind a plain C interface, so that one library serves every Python: built by hatch_build.py, loaded by
   native.py. Document i is lengths[i] rows of `dims` numbers at values[i]. A row's cosine is its dot product times
   scales[i][row] times the query token's scale; a row whose scale is NaN never wins. Ties go to the earliest row.
   Writes places and cosines, n x asked. Against int8 rows the best is found with an int8 query, and its cosine is then
   computed with an int16 one; all these sums are exact. Against halves all is f32.

   On x86 with AVX-512 VNNI sixteen query tokens lie in one register, in the order in which the instruction takes them,
   and eight rows are multiplied by thirty-two query tokens before anything is stored. Int8 rows are read where they
   lie: a copy in the cache, however small, cost more than to add 128 to each number as often as it is read. With AVX2
   it is four rows and sixteen query tokens, all widened to int16. */

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
    const void *query;        /* asked x dims, int8 against int8, f32 against halves */
    const int16_t *fine;      /* the same in int16, so small that dims products with int8 fit 32 bits; NULL: halves */
    const float *fine_scales; /* asked */
    int level;                /* at most what resift_maxsim_level gives; halves need 3 */
} Work;

/* What the threads share: the query as the kernel takes it, room for each thread, how many of them have begun, the
   first document that none has taken, and how many one takes at a time. */
typedef struct {
    const Work *work;
    void *tokens;
    int32_t *less;
    float *scratch;
    int64_t begun, next, together;
} Job;

/* The exact cosine of the matches that were found. */
INLINE void exact(const Work *w, int64_t i) {
    for (int64_t k = 0; k < w->asked; k++) {
        float *best = w->cosines + i * w->asked + k;
        int32_t place = w->places[i * w->asked + k], sum = 0;
        const int8_t *row = (const int8_t *)w->values[i] + place * w->dims;
        for (int64_t d = 0; d < w->dims; d++) sum += w->fine[k * w->dims + d] * (int16_t)row[d];
        if (*best != -INFINITY) *best = (float)sum * w->scales[i][place] * w->fine_scales[k];
    }
}

/* Any processor: a row against one query token after the other. */

static void plain(const Work *w, int64_t first, int64_t end) {
    const int8_t *query = w->query;
    for (int64_t i = first; i < end; i++) {
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
        exact(w, i);
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define UNROLL _Pragma("GCC unroll 8")
#define UNROLL16 _Pragma("GCC unroll 16")
#define LANES 16
#define AHEAD 4096 /* bytes that rows are fetched before their turn */
#define ROWS 8     /* times two registers of query tokens: sixteen sums under way hide the latency of a product */

#define LANES2 8
#define ROWS2 4

/* Words of four bytes that a thread widens rows into, with room for a whole register at the end. */
static int64_t scratch_size(const Work *w) { return ((ROWS * w->dims + LANES - 1) / LANES + 1) * LANES; }

/* Some rows, widened, against one or two registers of query tokens. */
INLINE AVX2 void wide_rows(__m256 *best, __m256i *place, const int16_t *rows_at, const float *scales, int64_t at,
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

/* One document against one or two registers of query tokens, the first of which is the query's token `from`. */
INLINE AVX2 void wide_document(const Job *job, int64_t i, int64_t from, int blocks, int16_t *widened) {
    const Work *w = job->work;
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
        if (length >= ROWS2) wide_rows(best, place, widened, w->scales[i], at, ROWS2, blocks, dims, query);
        else
            for (; at < length; at++)
                wide_rows(best, place, widened + at * dims, w->scales[i], at, 1, blocks, dims, query);
    }
    for (int b = 0; b < blocks; b++) {
        float cosines[LANES2];
        int32_t places[LANES2];
        _mm256_storeu_ps(cosines, best[b]);
        _mm256_storeu_si256((__m256i *)places, place[b]);
        int64_t k = from + b * LANES2, count = w->asked - k < LANES2 ? w->asked - k : LANES2;
        memcpy(w->cosines + i * w->asked + k, cosines, (size_t)count * 4);
        memcpy(w->places + i * w->asked + k, places, (size_t)count * 4);
    }
}

AVX2 static void wide_documents(const Job *job, int64_t thread, int64_t first, int64_t end) {
    const Work *w = job->work;
    int16_t *widened = (int16_t *)(job->scratch + thread * scratch_size(w));
    for (int64_t i = first; i < end; i++) {
        for (int64_t k = 0; k < w->asked; k += 2 * LANES2)
            if (k + LANES2 < w->asked) wide_document(job, i, k, 2, widened);
            else wide_document(job, i, k, 1, widened);
        exact(w, i);
    }
}

typedef struct {
    __m512 best[2];
    __m512i place[2];
} Best;

INLINE AVX512 void keep_best(Best *own, const __m512 sums[2][ROWS], int rows, int blocks, const float *scales,
                             int64_t at) {
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
                             int64_t dims, const int8_t *query, const int32_t *less) {
    __m512i sums[2][ROWS];
    UNROLL
    for (int t = 0; t < rows; t++)
        for (int b = 0; b < blocks; b++) sums[b][t] = _mm512_load_si512(less + LANES * b);
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
#define DOCUMENT(NAME, TYPE, BESIDE, CALL)                                                                  \
    INLINE AVX512 void NAME(Best *own, const TYPE *values, const float *scales, int64_t length, int blocks, \
                            int64_t dims, const void *query, BESIDE *beside) {                              \
        for (int b = 0; b < 2; b++) {                                                                       \
            own->best[b] = _mm512_set1_ps(-INFINITY);                                                       \
            own->place[b] = _mm512_setzero_si512();                                                         \
        }                                                                                                   \
        if (length < ROWS) {                                                                                \
            for (int64_t at = 0; at < length; at++) CALL(1);                                                \
            return;                                                                                         \
        }                                                                                                   \
        for (int64_t next = 0; next < length; next += ROWS) {                                               \
            int64_t at = next + ROWS <= length ? next : length - ROWS;                                      \
            CALL(ROWS);                                                                                     \
        }                                                                                                   \
    }
#define INT8_CALL(rows) int8_rows(own, values + at * dims, scales, at, rows, blocks, dims, query, beside)
#define HALF_CALL(rows) half_rows(own, values + at * dims, scales, at, rows, blocks, dims, query, beside)
DOCUMENT(int8_document, int8_t, const int32_t, INT8_CALL)
DOCUMENT(half_document, uint16_t, float, HALF_CALL)

AVX512 static void store(const Work *w, int64_t i, int64_t first, __m512 best, __m512i place) {
    int64_t left = w->asked - first;
    __mmask16 there = left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1);
    _mm512_mask_storeu_ps(w->cosines + i * w->asked + first, there, best);
    _mm512_mask_storeu_epi32(w->places + i * w->asked + first, there, place);
}

/* The sums of sixteen registers, one in each lane: lane l has that of register ORDER(l). */
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

/* The exact cosine of the matches that were found, for sixteen query tokens at a time. */
AVX512 static void refine(const Work *w, int64_t i) {
    for (int64_t first = 0; first < w->asked; first += LANES) {
        int64_t left = w->asked - first < LANES ? w->asked - first : LANES;
        __mmask16 asked = (__mmask16)((1u << left) - 1);
        float *best = w->cosines + i * w->asked + first;
        const int32_t *places = w->places + i * w->asked + first;
        const int16_t *fine = w->fine + first * w->dims;
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
                __m512i token = _mm512_maskz_loadu_epi16(l < left ? there : 0, fine + l * w->dims + d);
                sums[ORDER(l)] = _mm512_dpwssd_epi32(sums[ORDER(l)], row, token);
            }
        }
        __m512 found = _mm512_maskz_loadu_ps(asked, best);
        asked &= _mm512_cmp_ps_mask(found, _mm512_set1_ps(-INFINITY), _CMP_NEQ_OQ);
        __m512i at = _mm512_maskz_loadu_epi32(asked, places);
        __m512 scale = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), asked, at, w->scales[i], 4);
        __m512 cosine = _mm512_mul_ps(_mm512_cvtepi32_ps(sums_of(sums)), scale);
        _mm512_mask_storeu_ps(best, asked, _mm512_mul_ps(cosine, _mm512_maskz_loadu_ps(asked, w->fine_scales + first)));
    }
}

#define DOCUMENTS(NAME, DOCUMENT_OF, TYPE, BESIDE)                                                             \
    AVX512 static void NAME(const Job *job, int64_t thread, int64_t first, int64_t end) {                      \
        const Work *w = job->work;                                                                             \
        int64_t blocks = (w->asked + LANES - 1) / LANES;                                                       \
        for (int64_t i = first; i < end; i++) {                                                                \
            for (int64_t b = 0; b < blocks; b += 2) {                                                          \
                const TYPE *tokens = (const TYPE *)job->tokens + b * LANES * w->dims;                          \
                Best own;                                                                                      \
                if (b + 1 < blocks)                                                                            \
                    DOCUMENT_OF(&own, w->values[i], w->scales[i], w->lengths[i], 2, w->dims, tokens, BESIDE);  \
                else DOCUMENT_OF(&own, w->values[i], w->scales[i], w->lengths[i], 1, w->dims, tokens, BESIDE); \
                store(w, i, b * LANES, own.best[0], own.place[0]);                                             \
                if (b + 1 < blocks) store(w, i, (b + 1) * LANES, own.best[1], own.place[1]);                   \
            }                                                                                                  \
            if (w->fine) refine(w, i);                                                                         \
        }                                                                                                      \
        (void)thread;                                                                                          \
    }
DOCUMENTS(int8_documents, int8_document, int8_t, job->less + b * LANES)
DOCUMENTS(half_documents, half_document, float, job->scratch + thread * scratch_size(w))

static int by_avx512(const Work *w) { return w->level >= 3 && (!w->fine || w->dims % 4 == 0); }
static int by_avx2(const Work *w) { return w->level >= 2 && w->fine && w->dims % 2 == 0; }

/* Blocks of query tokens, as many as a register has lanes, in them groups of as many dimensions as the instruction takes:
   16 with 4 of int8 or 1 of f32; with AVX2 8 with 2 of int16. */
static void lay_out(const Job *job) {
    const Work *w = job->work;
    if (by_avx512(w)) {
        int group = w->fine ? 4 : 1;
        const int32_t *from = w->query; /* four bytes in either case */
        int32_t *to = job->tokens;
        for (int64_t k = 0; k < w->asked; k++)
            for (int64_t d = 0; d < w->dims / group; d++)
                to[k / LANES * LANES * (w->dims / group) + d * LANES + k % LANES] = from[k * (w->dims / group) + d];
        for (int64_t k = 0; w->fine && k < w->asked; k++)
            for (int64_t d = 0; d < w->dims; d++) job->less[k] -= 128 * ((const int8_t *)w->query)[k * w->dims + d];
        return;
    }
    const int8_t *from = w->query;
    int16_t *to = job->tokens;
    for (int64_t k = 0; k < w->asked; k++)
        for (int64_t d = 0; d < w->dims; d++)
            to[k / LANES2 * LANES2 * w->dims + d / 2 * 2 * LANES2 + k % LANES2 * 2 + d % 2] = from[k * w->dims + d];
}

static void *zeros(int64_t bytes) {
    int64_t whole = (bytes + 63) / 64 * 64;
    void *made = aligned_alloc(64, (size_t)whole);
    return made ? memset(made, 0, (size_t)whole) : NULL;
}

static int prepare(Job *job, int threads) {
    const Work *w = job->work;
    if (!by_avx512(w) && !by_avx2(w)) return 1;
    int64_t padded = (w->asked + LANES - 1) / LANES * LANES;
    job->tokens = zeros(padded * w->dims * 4);
    job->less = zeros(padded * 4);
    job->scratch = zeros(threads * scratch_size(w) * 4);
    if (!job->tokens || !job->less || !job->scratch) return 0;
    lay_out(job);
    return 1;
}

static void documents(const Job *job, int64_t thread, int64_t first, int64_t end) {
    if (by_avx512(job->work)) (job->work->fine ? int8_documents : half_documents)(job, thread, first, end);
    else if (by_avx2(job->work)) wide_documents(job, thread, first, end);
    else plain(job->work, first, end);
}
#else
static int prepare(Job *job, int threads) { return job && threads; }
static void documents(const Job *job, int64_t thread, int64_t first, int64_t end) {
    (void)thread;
    plain(job->work, first, end);
}
#endif

/* What this processor can: 3 AVX-512 VNNI, int8 and halves; 2 AVX2, int8 only; 1 anything, int8 only. */
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
#define TOGETHER 8 /* documents that a thread takes at a time, at most: one that starts late leaves more to the others */

static void *run(void *given) {
    Job *job = given;
    int64_t n = job->work->n, thread = __atomic_fetch_add(&job->begun, 1, __ATOMIC_RELAXED), first;
    while ((first = __atomic_fetch_add(&job->next, job->together, __ATOMIC_RELAXED)) < n)
        documents(job, thread, first, first + job->together < n ? first + job->together : n);
    return NULL;
}

/* Returns 0 when memory ran out, else 1. */
EXPORT int resift_maxsim(const Work *work, int threads) {
    Job job = {.work = work};
    if (threads > THREADS) threads = THREADS;
    if (threads < 1) threads = 1;
    int64_t share = work->n / (4 * threads);
    job.together = share < 1 ? 1 : share > TOGETHER ? TOGETHER : share;
    int done = prepare(&job, threads), started = 0;
    pthread_t ids[THREADS];
    while (done && started + 1 < threads && pthread_create(&ids[started], NULL, run, &job) == 0) started++;
    if (done) run(&job);
    for (int i = 0; i < started; i++) pthread_join(ids[i], NULL);
    free(job.tokens), free(job.less), free(job.scratch);
    return done;
}
