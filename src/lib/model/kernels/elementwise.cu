// Operations that look at one number, or one pair of numbers, at a time. Blocks of 256 threads; the grid covers all
// numbers, or all pairs for the rotation.
#include "numbers.cuh"

__device__ inline u64 element() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }

// x Phi(x), the exact form.
__device__ inline float gelu(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678f)); }

__device__ inline float gelu_slope(float x) {
    return 0.5f * (1.0f + erff(x * 0.70710678f)) + x * 0.39894228f * expf(-0.5f * x * x);
}

template <typename T> __device__ void gelu_gate(const T *input, const T *gate, u64 count, T *out) {
    u64 i = element();
    if (i < count) out[i] = as<T>(gelu(read(input[i])) * read(gate[i]));
}

// `to_gate`: the gradient of the gate, otherwise that of the input.
template <typename T>
__device__ void gelu_gate_gradient(const T *input, const T *gate, const T *gradient, u64 count, u32 to_gate, T *out) {
    u64 i = element();
    if (i >= count) return;
    float x = read(input[i]), d = read(gradient[i]);
    out[i] = as<T>(to_gate ? d * gelu(x) : d * read(gate[i]) * gelu_slope(x));
}

// Cosines and sines of all angles at the positions first, first + 1, ...: [count][half] each. In double, since position
// x angle in float is off by radians at a million nucleotides.
extern "C" __global__ void rotation_table(const float *angles, u32 half, u64 first, u64 count, float *cosines, float *sines) {
    u64 i = element();
    if (i >= count * half) return;
    double turned = (double)(first + i / half) * (double)angles[i % half];
    cosines[i] = (float)cos(turned);
    sines[i] = (float)sin(turned);
}

// Turns neighbouring numbers of `input` [tokens][width] by the angles of their token's row in the tables; `direction` is
// 1, or -1 for the gradient.
template <typename T>
__device__ void rotate(const T *input, const u32 *rows, const float *cosines, const float *sines, u64 pairs, u32 width,
                       u32 half, float scale, float direction, T *out) {
    u64 i = element();
    if (i >= pairs) return;
    u64 token = i / (width / 2), place = (u64)rows[token] * half + i % (width / 2) % half;
    float cosine = cosines[place] * scale, sine = sines[place] * direction * scale;
    float x = read(input[2 * i]), y = read(input[2 * i + 1]);
    out[2 * i] = as<T>(x * cosine - y * sine);
    out[2 * i + 1] = as<T>(y * cosine + x * sine);
}

// input [rows][width] + bias [width], through a ReLU where `relu`.
template <typename T> __device__ void add_bias(const T *input, const T *bias, u64 count, u32 width, u32 relu, T *out) {
    u64 i = element();
    if (i >= count) return;
    float x = read(input[i]) + read(bias[i % width]);
    out[i] = as<T>(relu && !(x > 0) ? 0.0f : x);
}

template <typename T> __device__ void relu_gradient(const T *gradient, const T *result, u64 count, T *out) {
    u64 i = element();
    if (i < count) out[i] = read(result[i]) > 0 ? gradient[i] : as<T>(0);
}

// The finaliser of SplitMix64, as in ops/dropout.rs.
__device__ inline u64 mix(u64 x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

// One draw of 64 bits serves four numbers: 16 bits each, the lowest first.
template <typename T> __device__ void dropout(const T *input, u64 count, u64 seed, u32 threshold, float scale, T *out) {
    u64 i = element();
    if (i >= count) return;
    u32 part = (u32)(mix(seed + i / 4) >> (16 * (i % 4))) & 0xffff;
    out[i] = part >= threshold ? as<T>(read(input[i]) * scale) : as<T>(0);
}

#define GELU_PARAMETERS(T) (const T *input, const T *gate, u64 count, T *out)
FOR_BOTH_TYPES(gelu_gate, GELU_PARAMETERS, (input, gate, count, out))
#define GELU_GRADIENT_PARAMETERS(T) (const T *input, const T *gate, const T *gradient, u64 count, u32 to_gate, T *out)
FOR_BOTH_TYPES(gelu_gate_gradient, GELU_GRADIENT_PARAMETERS, (input, gate, gradient, count, to_gate, out))
#define ROTATION_PARAMETERS(T)                                                                                            \
    (const T *input, const u32 *rows, const float *cosines, const float *sines, u64 pairs, u32 width, u32 half,           \
     float scale, float direction, T *out)
FOR_BOTH_TYPES(rotate, ROTATION_PARAMETERS, (input, rows, cosines, sines, pairs, width, half, scale, direction, out))
#define BIAS_PARAMETERS(T) (const T *input, const T *bias, u64 count, u32 width, u32 relu, T *out)
FOR_BOTH_TYPES(add_bias, BIAS_PARAMETERS, (input, bias, count, width, relu, out))
#define RELU_PARAMETERS(T) (const T *gradient, const T *result, u64 count, T *out)
FOR_BOTH_TYPES(relu_gradient, RELU_PARAMETERS, (gradient, result, count, out))
#define DROPOUT_PARAMETERS(T) (const T *input, u64 count, u64 seed, u32 threshold, float scale, T *out)
FOR_BOTH_TYPES(dropout, DROPOUT_PARAMETERS, (input, count, seed, threshold, scale, out))
