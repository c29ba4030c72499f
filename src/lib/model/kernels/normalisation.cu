// Root-mean-square norms of rows, one warp for each row: that of a layer with its weight (ops/rms_norm.rs), and that of
// each head's retention with its gate (ops/gates.rs). Blocks of 256 threads are eight rows.
#include "numbers.cuh"

constexpr u32 ROWS = 8;

// 1 / sqrt(mean(row^2) + epsilon), by a warp.
template <typename T> __device__ float inverse_norm(const T *row, u32 width, float epsilon) {
    float sum = 0;
    for (u32 i = threadIdx.x % 32; i < width; i += 32) sum += read(row[i]) * read(row[i]);
    return 1.0f / sqrtf(warp_sum(sum) / width + epsilon);
}

// grid: groups of eight rows
template <typename T>
__device__ void rms_norm(const T *input, const T *weight, u32 rows, u32 width, float epsilon, T *out) {
    u32 number = blockIdx.x * ROWS + threadIdx.x / 32;
    if (number >= rows) return;
    const T *row = input + (u64)number * width;
    float factor = inverse_norm(row, width, epsilon);
    for (u32 i = threadIdx.x % 32; i < width; i += 32)
        out[(u64)number * width + i] = as<T>(read(row[i]) * factor * read(weight[i]));
}

template <typename T>
__device__ void rms_norm_gradient(const T *input, const T *weight, const T *gradient, u32 rows, u32 width, float epsilon,
                                  T *out) {
    u32 number = blockIdx.x * ROWS + threadIdx.x / 32;
    if (number >= rows) return;
    const T *row = input + (u64)number * width, *slope = gradient + (u64)number * width;
    float factor = inverse_norm(row, width, epsilon), pull = 0;
    for (u32 i = threadIdx.x % 32; i < width; i += 32) pull += read(slope[i]) * read(weight[i]) * read(row[i]);
    pull = warp_sum(pull) * factor * factor * factor / width;
    for (u32 i = threadIdx.x % 32; i < width; i += 32)
        out[(u64)number * width + i] = as<T>(read(slope[i]) * read(weight[i]) * factor - read(row[i]) * pull);
}

// The factor of each row, for the gradient of the weight.
template <typename T> __device__ void rms_factors(const T *input, u32 rows, u32 width, float epsilon, float *out) {
    u32 number = blockIdx.x * ROWS + threadIdx.x / 32;
    if (number >= rows) return;
    float factor = inverse_norm(input + (u64)number * width, width, epsilon);
    if (threadIdx.x % 32 == 0) out[number] = factor;
}

// Sums of gradient x input x factor over slabs of `slab` rows; sum_slabs adds the slabs up.
// grid: groups of 32 columns, slabs
template <typename T>
__device__ void rms_norm_weight_gradient(const T *input, const T *gradient, const float *factors, u32 rows, u32 width,
                                         u32 slab, float *out) {
    __shared__ float sums[ROWS][32];
    u32 column = blockIdx.x * 32 + threadIdx.x % 32, lane = threadIdx.x / 32;
    u32 first = blockIdx.y * slab, last = min(first + slab, rows);
    float sum = 0;
    if (column < width)
        for (u32 row = first + lane; row < last; row += ROWS)
            sum += read(gradient[(u64)row * width + column]) * read(input[(u64)row * width + column]) * factors[row];
    sums[lane][threadIdx.x % 32] = sum;
    __syncthreads();
    if (lane == 0 && column < width) {
        for (u32 i = 1; i < ROWS; i++) sum += sums[i][threadIdx.x];
        out[(u64)blockIdx.y * width + column] = sum;
    }
}

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// silu(gate) x norm of each head's part of a row; a row here is one head of one token.
template <typename T>
__device__ void retention_gate(const T *input, const T *gate, u32 rows, u32 width, float epsilon, T *out) {
    u32 number = blockIdx.x * ROWS + threadIdx.x / 32;
    if (number >= rows) return;
    const T *row = input + (u64)number * width, *gates = gate + (u64)number * width;
    float factor = inverse_norm(row, width, epsilon);
    for (u32 i = threadIdx.x % 32; i < width; i += 32) {
        float g = read(gates[i]);
        out[(u64)number * width + i] = as<T>(read(row[i]) * factor * (g * sigmoid(g)));
    }
}

// `to_gate`: the gradient of the gate, otherwise that of the input.
template <typename T>
__device__ void retention_gate_gradient(const T *input, const T *gate, const T *gradient, u32 rows, u32 width,
                                        float epsilon, u32 to_gate, T *out) {
    u32 number = blockIdx.x * ROWS + threadIdx.x / 32;
    if (number >= rows) return;
    u64 start = (u64)number * width;
    const T *row = input + start, *gates = gate + start, *slope = gradient + start;
    float factor = inverse_norm(row, width, epsilon);
    if (to_gate) {
        for (u32 i = threadIdx.x % 32; i < width; i += 32) {
            float g = read(gates[i]), s = sigmoid(g);
            out[start + i] = as<T>(read(slope[i]) * read(row[i]) * factor * (s + g * s * (1.0f - s)));
        }
        return;
    }
    float pull = 0;
    for (u32 i = threadIdx.x % 32; i < width; i += 32) {
        float g = read(gates[i]);
        pull += read(slope[i]) * (g * sigmoid(g)) * read(row[i]);
    }
    pull = warp_sum(pull) * factor * factor * factor / width;
    for (u32 i = threadIdx.x % 32; i < width; i += 32) {
        float g = read(gates[i]);
        out[start + i] = as<T>(read(slope[i]) * (g * sigmoid(g)) * factor - read(row[i]) * pull);
    }
}

#define NORM_PARAMETERS(T) (const T *input, const T *weight, u32 rows, u32 width, float epsilon, T *out)
FOR_BOTH_TYPES(rms_norm, NORM_PARAMETERS, (input, weight, rows, width, epsilon, out))
FOR_BOTH_TYPES(retention_gate, NORM_PARAMETERS, (input, weight, rows, width, epsilon, out))

#define NORM_GRADIENT_PARAMETERS(T)                                                                                       \
    (const T *input, const T *weight, const T *gradient, u32 rows, u32 width, float epsilon, T *out)
FOR_BOTH_TYPES(rms_norm_gradient, NORM_GRADIENT_PARAMETERS, (input, weight, gradient, rows, width, epsilon, out))

#define FACTOR_PARAMETERS(T) (const T *input, u32 rows, u32 width, float epsilon, float *out)
FOR_BOTH_TYPES(rms_factors, FACTOR_PARAMETERS, (input, rows, width, epsilon, out))

#define WEIGHT_GRADIENT_PARAMETERS(T)                                                                                     \
    (const T *input, const T *gradient, const float *factors, u32 rows, u32 width, u32 slab, float *out)
FOR_BOTH_TYPES(rms_norm_weight_gradient, WEIGHT_GRADIENT_PARAMETERS,
               (input, gradient, factors, rows, width, slab, out))

#define GATE_GRADIENT_PARAMETERS(T)                                                                                       \
    (const T *input, const T *gate, const T *gradient, u32 rows, u32 width, float epsilon, u32 to_gate, T *out)
FOR_BOTH_TYPES(retention_gate_gradient, GATE_GRADIENT_PARAMETERS,
               (input, gate, gradient, rows, width, epsilon, to_gate, out))
