// Convolutions that keep the size, over pairs (ops/pair_convolution.rs) and over maps laid end to end
// (ops/convolution.rs): matrix products whose left operand is gathered from the neighbours while it is staged, so that no
// patches are ever written to memory.
//
// `arranged` weights are [tap][in][out]. A block computes 64 positions x 64 channels of the result; for the gradient of
// the weights 64 rows of [tap][in] x 64 output channels over a part of the positions, and weight_gradient_sum adds the
// parts up in order.
#include "tile.cuh"

constexpr u32 NOWHERE = 0xffffffffu;

// Pairs whose neighbours are listed, 9 of each: 3 x 3 taps.
struct Pairs {
    const u32 *neighbours;
    typedef u32 Place;

    __device__ Place place(u32 position) const { return position; }
    __device__ u32 neighbour(Place p, u32 tap) const { return neighbours[(u64)p * 9 + tap]; }
};

// Maps laid end to end: `maps` holds start, height and width of each; kernel_rows x kernel_columns taps, both odd.
struct Maps {
    const u32 *maps;
    u32 count, kernel_rows, kernel_columns, dilation;
    struct Place { u32 map, row, column; };

    __device__ Place place(u32 position) const {
        u32 low = 0, high = count;
        while (high - low > 1) {
            u32 middle = (low + high) / 2;
            if (maps[3 * middle] <= position) low = middle; else high = middle;
        }
        u32 inside = position - maps[3 * low], width = maps[3 * low + 2];
        return {low, inside / width, inside % width};
    }

    __device__ u32 neighbour(Place p, u32 tap) const {
        u32 start = maps[3 * p.map], height = maps[3 * p.map + 1], width = maps[3 * p.map + 2];
        u32 above = kernel_rows / 2 * dilation, beside = kernel_columns / 2 * dilation;
        u32 row = p.row + tap / kernel_columns * dilation, column = p.column + tap % kernel_columns * dilation;
        if (row < above || row - above >= height || column < beside || column - beside >= width) return NOWHERE;
        return start + (row - above) * width + column - beside;
    }
};

// grid: groups of 64 positions, groups of 64 output channels
template <typename T, typename Shape>
__device__ void convolution(Shape shape, const T *input, const T *arranged, u32 positions, u32 taps, u32 channels,
                            u32 out_channels, T *out) {
    __shared__ __align__(32) T patch[TILE * LEFT], weight[DEPTH * RIGHT];
    __shared__ __align__(32) float stage[TILE * STAGE];
    __shared__ typename Shape::Place places[TILE];
    u32 first = blockIdx.x * TILE, first_out = blockIdx.y * TILE, inner = taps * channels;
    if (threadIdx.x < TILE && first + threadIdx.x < positions) places[threadIdx.x] = shape.place(first + threadIdx.x);
    Tile<T> sums;
    sums.clear();
    __syncthreads();
    for (u32 k = 0; k < inner; k += DEPTH) {
        for (int e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
            u32 row = e / DEPTH, place = k + e % DEPTH;
            T x = as<T>(0);
            if (first + row < positions && place < inner) {
                u32 source = shape.neighbour(places[row], place / channels);
                if (source != NOWHERE) x = input[(u64)source * channels + place % channels];
            }
            patch[row * LEFT + e % DEPTH] = x;
        }
        for (int e = threadIdx.x; e < DEPTH * TILE; e += THREADS) {
            u32 row = k + e / TILE, column = first_out + e % TILE;
            weight[e / TILE * RIGHT + e % TILE] =
                row < inner && column < out_channels ? arranged[(u64)row * out_channels + column] : as<T>(0);
        }
        __syncthreads();
        sums.add(patch, LEFT, weight);
        __syncthreads();
    }
    sums.store(stage);
    __syncthreads();
    for (int e = threadIdx.x; e < TILE * TILE; e += THREADS) {
        u32 row = first + e / TILE, column = first_out + e % TILE;
        if (row < positions && column < out_channels)
            out[(u64)row * out_channels + column] = as<T>(stage[e / TILE * STAGE + e % TILE]);
    }
}

// grid: groups of 64 rows of [tap][in], groups of 64 output channels, parts of `part` positions (a multiple of 32)
template <typename T, typename Shape>
__device__ void weight_gradient(Shape shape, const T *input, const T *gradient, u32 positions, u32 part, u32 taps,
                                u32 channels, u32 out_channels, float *out) {
    __shared__ __align__(32) T patch[TILE * LEFT], slope[DEPTH * RIGHT];
    __shared__ __align__(32) float stage[TILE * STAGE];
    __shared__ typename Shape::Place places[DEPTH];
    u32 first = blockIdx.x * TILE, first_out = blockIdx.y * TILE, inner = taps * channels;
    u32 begin = blockIdx.z * part, end = min(begin + part, positions);
    Tile<T> sums;
    sums.clear();
    for (u32 k = begin; k < end; k += DEPTH) {
        if (threadIdx.x < DEPTH && k + threadIdx.x < end) places[threadIdx.x] = shape.place(k + threadIdx.x);
        __syncthreads();
        for (int e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
            u32 row = first + e % TILE, position = e / TILE;
            T x = as<T>(0);
            if (row < inner && k + position < end) {
                u32 source = shape.neighbour(places[position], row / channels);
                if (source != NOWHERE) x = input[(u64)source * channels + row % channels];
            }
            patch[e % TILE * LEFT + position] = x;
        }
        for (int e = threadIdx.x; e < DEPTH * TILE; e += THREADS) {
            u32 row = k + e / TILE, column = first_out + e % TILE;
            slope[e / TILE * RIGHT + e % TILE] =
                row < end && column < out_channels ? gradient[(u64)row * out_channels + column] : as<T>(0);
        }
        __syncthreads();
        sums.add(patch, LEFT, slope);
        __syncthreads();
    }
    sums.store(stage);
    __syncthreads();
    for (int e = threadIdx.x; e < TILE * TILE; e += THREADS) {
        u32 row = first + e / TILE, column = first_out + e % TILE;
        if (row < inner && column < out_channels)
            out[((u64)blockIdx.z * inner + row) * out_channels + column] = stage[e / TILE * STAGE + e % TILE];
    }
}

// Weights [out][in][tap] as [tap][in][out]; `flipped`: those of the transposed convolution, read [in][out], taps in
// reverse.
template <typename T>
__device__ void arrange_weights(const T *weight, u32 taps, u32 channels, u32 out_channels, u32 flipped, T *out) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= taps * channels * out_channels) return;
    u32 o = i % out_channels, c = i / out_channels % channels, tap = i / out_channels / channels;
    out[i] = flipped ? weight[(c * out_channels + o) * taps + taps - 1 - tap] : weight[(o * channels + c) * taps + tap];
}

// The sum over parts of [tap][in][out], as [out][in][tap].
template <typename T>
__device__ void weight_gradient_sum(const float *parts, u32 number, u32 taps, u32 channels, u32 out_channels, T *out) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x, count = taps * channels * out_channels;
    if (i >= count) return;
    u32 o = i % out_channels, c = i / out_channels % channels, tap = i / out_channels / channels;
    float sum = 0;
    for (u32 part = 0; part < number; part++) sum += parts[(u64)part * count + i];
    out[(o * channels + c) * taps + tap] = as<T>(sum);
}

#define PAIR_PARAMETERS(T)                                                                                            \
    (const u32 *neighbours, const T *input, const T *arranged, u32 positions, u32 channels, u32 out_channels, \
     T *out)
template <typename T> __device__ void pair_convolution PAIR_PARAMETERS(T) {
    convolution(Pairs{neighbours}, input, arranged, positions, 9, channels, out_channels, out);
}
FOR_BOTH_TYPES(pair_convolution, PAIR_PARAMETERS,
               (neighbours, input, arranged, positions, channels, out_channels, out))

#define PAIR_GRADIENT_PARAMETERS(T)                                                                                   \
    (const u32 *neighbours, const T *input, const T *gradient, u32 positions, u32 part, u32 channels,         \
     u32 out_channels, float *out)
template <typename T> __device__ void pair_weight_gradient PAIR_GRADIENT_PARAMETERS(T) {
    weight_gradient(Pairs{neighbours}, input, gradient, positions, part, 9, channels, out_channels, out);
}
FOR_BOTH_TYPES(pair_weight_gradient, PAIR_GRADIENT_PARAMETERS,
               (neighbours, input, gradient, positions, part, channels, out_channels, out))

#define MAP_PARAMETERS(T)                                                                                                 \
    (const u32 *maps, u32 count, u32 kernel_rows, u32 kernel_columns, u32 dilation, const T *input, const T *arranged,    \
     u32 positions, u32 channels, u32 out_channels, T *out)
template <typename T> __device__ void map_convolution MAP_PARAMETERS(T) {
    convolution(Maps{maps, count, kernel_rows, kernel_columns, dilation}, input, arranged, positions,
                kernel_rows * kernel_columns, channels, out_channels, out);
}
FOR_BOTH_TYPES(map_convolution, MAP_PARAMETERS,
               (maps, count, kernel_rows, kernel_columns, dilation, input, arranged, positions, channels, out_channels,
                out))

#define MAP_GRADIENT_PARAMETERS(T)                                                                                        \
    (const u32 *maps, u32 count, u32 kernel_rows, u32 kernel_columns, u32 dilation, const T *input, const T *gradient,    \
     u32 positions, u32 part, u32 channels, u32 out_channels, float *out)
template <typename T> __device__ void map_weight_gradient MAP_GRADIENT_PARAMETERS(T) {
    weight_gradient(Maps{maps, count, kernel_rows, kernel_columns, dilation}, input, gradient, positions, part,
                    kernel_rows * kernel_columns, channels, out_channels, out);
}
FOR_BOTH_TYPES(map_weight_gradient, MAP_GRADIENT_PARAMETERS,
               (maps, count, kernel_rows, kernel_columns, dilation, input, gradient, positions, part, channels,
                out_channels, out))

#define ARRANGE_PARAMETERS(T) (const T *weight, u32 taps, u32 channels, u32 out_channels, u32 flipped, T *out)
FOR_BOTH_TYPES(arrange_weights, ARRANGE_PARAMETERS, (weight, taps, channels, out_channels, flipped, out))
#define GRADIENT_SUM_PARAMETERS(T) (const float *parts, u32 number, u32 taps, u32 channels, u32 out_channels, T *out)
FOR_BOTH_TYPES(weight_gradient_sum, GRADIENT_SUM_PARAMETERS, (parts, number, taps, channels, out_channels, out))
