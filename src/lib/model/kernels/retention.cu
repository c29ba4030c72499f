// The decayed bidirectional retention of packed sequences in linear time: retention/kernel.rs has the mathematics.
//
// Sequences are cut into chunks of 64 tokens. Three kernels run one after the other:
//   retention_states   what each chunk adds up to, seen from its right end and from its left end, all chunks in parallel;
//   retention_scan     turns that into what lies left and right of each chunk, by a walk over the chunks of each sequence;
//   retention_output   the 64 x 64 product inside each chunk and the products with both states, all chunks in parallel.
// Gradients are calls of the same kernels with their arguments exchanged. States are float whatever the storage. The
// additions have a fixed order, so equal input gives equal bits.
//
// `chunks` holds four numbers for each chunk: its first token, its tokens, how many tokens of its sequence lie before it,
// and the length of its sequence. `states` is [2][heads][chunks][key_width][value_width], `key_states` the same without
// the last dimension; the first half is seen from the right end of a chunk (later: what lies left of it).
#include "tile.cuh"

// log2 of gamma = 1 - 2^-(5 + head).
__device__ inline float log_decay(int head) { return log1pf(-exp2f(-5.0f - head)) * 1.44269504f; }

// sqrt(Z_n) for row `position` of a sequence of `length` tokens: Z_n is the sum of gamma^|n-m| over all m.
__device__ inline float decay_root(float log_gamma, int head, u32 position, u32 length) {
    float natural = log_gamma * 0.69314718f;
    float left = -expm1f(natural * (position + 1)), right = -expm1f(natural * (length - position));
    return sqrtf((left + right) * exp2f(5.0f + head) - 1.0f);
}

// Copies `rows` x `columns` numbers at `source`, whose rows are `stride` apart, to a [height][target_stride] array,
// with zeros beyond.
template <typename T>
__device__ void stage_rows(T *target, int target_stride, int height, int width, const T *source, u64 stride, int rows,
                           int columns) {
    for (int e = threadIdx.x; e < height * width; e += THREADS) {
        int row = e / width, column = e % width;
        bool inside = row < rows && column < columns;
        target[row * target_stride + column] = inside ? source[row * stride + column] : as<T>(0);
    }
}

// grid: chunks, key tiles x value tiles, heads
template <typename T>
__device__ void retention_states(const T *keys, const T *values, const u32 *chunks, u32 key_width, u32 value_width,
                                 float *states, float *key_states) {
    // Keys times their decay, a row for each key column, and values, a row for each token.
    __shared__ __align__(32) T from_right[TILE * LEFT], from_left[TILE * LEFT], value[DEPTH * RIGHT];
    __shared__ __align__(32) float stage[TILE * STAGE];
    u32 chunk = blockIdx.x, head = blockIdx.z, heads = gridDim.z;
    u32 value_tiles = (value_width + TILE - 1) / TILE;
    u32 first_key = blockIdx.y / value_tiles * TILE, first_value = blockIdx.y % value_tiles * TILE;
    u32 start = chunks[4 * chunk], rows = chunks[4 * chunk + 1];
    u64 key_stride = (u64)heads * key_width, value_stride = (u64)heads * value_width;
    int key_columns = min(TILE, (int)(key_width - first_key)), value_columns = min(TILE, (int)(value_width - first_value));
    float log_gamma = log_decay(head);

    Tile<T> right, left;
    right.clear();
    left.clear();
    float key_sum = 0;
    for (u32 first = 0; first < rows; first += DEPTH) {
        for (int e = threadIdx.x; e < DEPTH * TILE; e += THREADS) {
            u32 row = first + e / TILE;
            int column = e % TILE;
            float x = 0;
            if (row < rows && column < key_columns)
                x = read(keys[(start + row) * key_stride + head * key_width + first_key + column]);
            from_right[column * LEFT + e / TILE] = as<T>(x * exp2f(log_gamma * ((float)rows - 1 - row)));
            from_left[column * LEFT + e / TILE] = as<T>(x * exp2f(log_gamma * row));
        }
        stage_rows(value, RIGHT, DEPTH, TILE, values + (start + first) * value_stride + head * value_width + first_value,
                   value_stride, (int)(rows - first), value_columns);
        __syncthreads();
        right.add(from_right, LEFT, value);
        left.add(from_left, LEFT, value);
        if (threadIdx.x < 2 * TILE) {
            const T *side = threadIdx.x < TILE ? from_right : from_left;
            for (int k = 0; k < DEPTH; k++) key_sum += read(side[threadIdx.x % TILE * LEFT + k]);
        }
        __syncthreads();
    }
    for (int side = 0; side < 2; side++) {
        if (side == 0) right.store(stage); else left.store(stage);
        __syncthreads();
        u64 place = ((u64)side * heads + head) * gridDim.x + chunk;
        float *target = states + place * key_width * value_width;
        for (int e = threadIdx.x; e < TILE * TILE; e += THREADS) {
            int row = e / TILE, column = e % TILE;
            if (row < key_columns && column < value_columns)
                target[(u64)(first_key + row) * value_width + first_value + column] = stage[row * STAGE + column];
        }
        if (first_value == 0 && (int)threadIdx.x / TILE == side && (int)threadIdx.x % TILE < key_columns)
            key_states[place * key_width + first_key + threadIdx.x % TILE] = key_sum;
        __syncthreads();
    }
}

// `sequences` holds the first chunk of each sequence, and at the end the number of chunks.
// grid: sequences, blocks of numbers, 2 x heads
extern "C" __global__ void retention_scan(const u32 *sequences, const u32 *chunks, u32 chunk_count, u32 heads,
                                          u32 key_width, u32 value_width, float *states, float *key_states) {
    u32 first = sequences[blockIdx.x], last = sequences[blockIdx.x + 1];
    u64 size = (u64)key_width * value_width, element = (u64)blockIdx.y * blockDim.x + threadIdx.x;
    u32 side = blockIdx.z / heads, head = blockIdx.z % heads;
    if (element >= size + key_width || last - first < 2) return;
    float *numbers = element < size ? states + element : key_states + (element - size);
    u64 step = element < size ? size : key_width;
    numbers += ((u64)side * heads + head) * chunk_count * step;
    float log_gamma = log_decay(head), sum = 0;
    for (u32 i = 0; i < last - first; i++) {
        u32 chunk = side == 0 ? first + i : last - 1 - i;
        float passed = numbers[chunk * step];
        numbers[chunk * step] = sum;
        sum = sum * exp2f(log_gamma * chunks[4 * chunk + 1]) + passed;
    }
}

// `normalise`: divide by max(sqrt(Z), |row sum|), which goes to `denominators` [heads][tokens]; otherwise the bare sums.
// grid: chunks, value tiles, heads
template <typename T>
__device__ void retention_output(const T *queries, const T *keys, const T *values, const u32 *chunks, u32 tokens,
                                 u32 key_width, u32 value_width, const float *states, const float *key_states,
                                 u32 normalise, T *out, float *denominators) {
    // First queries, keys (a row for each key column) and both states; then weights, values and the result.
    constexpr int FIRST = sizeof(T) * (TILE * LEFT + 3 * DEPTH * RIGHT);
    constexpr int SECOND = sizeof(float) * TILE * STAGE + sizeof(T) * (TILE * RIGHT + DEPTH * RIGHT);
    __shared__ __align__(32) unsigned char memory[FIRST > SECOND ? FIRST : SECOND];
    __shared__ float divisors[TILE];
    T *query = (T *)memory, *key = query + TILE * LEFT, *state[2] = {key + DEPTH * RIGHT, key + 2 * DEPTH * RIGHT};
    float *stage = (float *)memory;
    T *weight = (T *)(stage + TILE * STAGE), *value = weight + TILE * RIGHT;

    u32 chunk = blockIdx.x, head = blockIdx.z, heads = gridDim.z, first_value = blockIdx.y * TILE;
    u32 start = chunks[4 * chunk], rows = chunks[4 * chunk + 1];
    u32 before = chunks[4 * chunk + 2], length = chunks[4 * chunk + 3];
    u64 key_stride = (u64)heads * key_width, value_stride = (u64)heads * value_width;
    int value_columns = min(TILE, (int)(value_width - first_value));
    bool beyond[2] = {before > 0, before + rows < length};
    float log_gamma = log_decay(head);

    Tile<T> inside, outside[2];
    inside.clear();
    outside[0].clear();
    outside[1].clear();
    // Four threads share a row of the chunk where sums over keys are needed.
    int own_row = threadIdx.x / 4, quarter = threadIdx.x % 4;
    float key_products[2] = {0, 0};
    for (u32 first_key = 0; first_key < key_width; first_key += DEPTH) {
        int key_columns = min(DEPTH, (int)(key_width - first_key));
        u64 place = start * key_stride + head * key_width + first_key;
        stage_rows(query, LEFT, TILE, DEPTH, queries + place, key_stride, (int)rows, key_columns);
        for (int e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
            int row = e / DEPTH, column = e % DEPTH;
            bool exists = row < (int)rows && column < key_columns;
            key[column * RIGHT + row] = exists ? keys[place + row * key_stride + column] : as<T>(0);
        }
#pragma unroll
        for (int side = 0; side < 2; side++) {
            if (!beyond[side]) continue;
            u64 source = (((u64)side * heads + head) * gridDim.x + chunk) * key_width + first_key;
            for (int e = threadIdx.x; e < DEPTH * TILE; e += THREADS) {
                int row = e / TILE, column = e % TILE;
                float x = 0;
                if (row < key_columns && column < value_columns)
                    x = states[(source + row) * value_width + first_value + column];
                state[side][row * RIGHT + column] = as<T>(x);
            }
        }
        __syncthreads();
        inside.add(query, LEFT, key);
#pragma unroll
        for (int side = 0; side < 2; side++) {
            if (!beyond[side]) continue;
            outside[side].add(query, LEFT, state[side]);
            u64 source = (((u64)side * heads + head) * gridDim.x + chunk) * key_width + first_key;
            for (int k = quarter; k < key_columns; k += 4)
                key_products[side] += read(query[own_row * LEFT + k]) * key_states[source + k];
        }
        __syncthreads();
    }

    // The token next to the boundary has distance 0 in the state and 1 from the row beside it.
    auto distance = [&](int side, int row) { return side == 0 ? row + 1.0f : (float)rows - row; };
    inside.store(stage);
    __syncthreads();
    float row_sum = 0;
    for (int column = quarter; column < TILE; column += 4) {
        float apart = own_row > column ? own_row - column : column - own_row;
        float x = stage[own_row * STAGE + column] * exp2f(log_gamma * apart);
        weight[own_row * RIGHT + column] = as<T>(x);
        row_sum += x;
    }
#pragma unroll
    for (int side = 0; side < 2; side++)
        if (beyond[side]) row_sum += key_products[side] * exp2f(log_gamma * distance(side, own_row));
    row_sum += __shfl_xor_sync(0xffffffffu, row_sum, 1);
    row_sum += __shfl_xor_sync(0xffffffffu, row_sum, 2);
    if (quarter == 0) {
        float divisor = 1;
        if (normalise && own_row < (int)rows) {
            divisor = fmaxf(decay_root(log_gamma, head, before + own_row, length), fabsf(row_sum));
            if (first_value == 0) denominators[(u64)head * tokens + start + own_row] = divisor;
        }
        divisors[own_row] = divisor;
    }
    inside.clear();
    for (int half = 0; half < TILE; half += DEPTH) {
        __syncthreads();
        stage_rows(value, RIGHT, DEPTH, TILE, values + (start + half) * value_stride + head * value_width + first_value,
                   value_stride, (int)rows - half, value_columns);
        __syncthreads();
        inside.add(weight + half, RIGHT, value);
    }
    __syncthreads();

    constexpr int OWN = TILE * TILE / THREADS;
    float result[OWN];
    inside.store(stage);
    __syncthreads();
    for (int i = 0; i < OWN; i++) {
        int e = threadIdx.x + i * THREADS;
        result[i] = stage[e / TILE * STAGE + e % TILE];
    }
#pragma unroll
    for (int side = 0; side < 2; side++) {
        if (!beyond[side]) continue;
        __syncthreads();
        outside[side].store(stage);
        __syncthreads();
        for (int i = 0; i < OWN; i++) {
            int e = threadIdx.x + i * THREADS;
            result[i] += stage[e / TILE * STAGE + e % TILE] * exp2f(log_gamma * distance(side, e / TILE));
        }
    }
    for (int i = 0; i < OWN; i++) {
        int e = threadIdx.x + i * THREADS, row = e / TILE, column = e % TILE;
        if (row < (int)rows && column < value_columns)
            out[(start + row) * value_stride + head * value_width + first_value + column] =
                as<T>(result[i] / divisors[row]);
    }
}

#define STATES_PARAMETERS(T)                                                                                              \
    (const T *keys, const T *values, const u32 *chunks, u32 key_width, u32 value_width, float *states, float *key_states)
FOR_BOTH_TYPES(retention_states, STATES_PARAMETERS,
               (keys, values, chunks, key_width, value_width, states, key_states))

#define OUTPUT_PARAMETERS(T)                                                                                              \
    (const T *queries, const T *keys, const T *values, const u32 *chunks, u32 tokens, u32 key_width, u32 value_width,     \
     const float *states, const float *key_states, u32 normalise, T *out, float *denominators)
FOR_BOTH_TYPES(retention_output, OUTPUT_PARAMETERS,
               (queries, keys, values, chunks, tokens, key_width, value_width, states, key_states, normalise, out,
                denominators))

// input [tokens][heads][width] over divisors [heads][tokens], a number for each thread.
template <typename T>
__device__ void divide_rows(const T *input, const float *divisors, u64 count, u32 tokens, u32 heads, u32 width, T *out) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u64 head = i / width % heads, token = i / width / heads;
    out[i] = as<T>(read(input[i]) / divisors[head * tokens + token]);
}

#define DIVISION_PARAMETERS(T)                                                                                            \
    (const T *input, const float *divisors, u64 count, u32 tokens, u32 heads, u32 width, T *out)
FOR_BOTH_TYPES(divide_rows, DIVISION_PARAMETERS, (input, divisors, count, tokens, heads, width, out))
