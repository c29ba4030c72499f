// AdamW (train/optimiser.rs) on float weights: 256 threads a block, one number a thread.
#include "numbers.cuh"

// The sum of squares in double, by one block of 256 threads.
extern "C" __global__ void sum_of_squares(const float *numbers, u64 count, double *out) {
    __shared__ double sums[8];
    double sum = 0;
    for (u64 i = threadIdx.x; i < count; i += 256) sum += (double)numbers[i] * (double)numbers[i];
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 1; i < 8; i++) sum += sums[i];
        *out = sum;
    }
}

// old = keep x old + add x (scale x new), or with the square of the new number where `squared`.
extern "C" __global__ void blend(float *old, const float *fresh, u64 count, float scale, float keep, float add, u32 squared) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float x = fresh[i] * scale;
    old[i] = keep * old[i] + add * (squared ? x * x : x);
}

extern "C" __global__ void adam_step(float *weights, const float *first, const float *second, u64 count, float step,
                                     float root_correction, float epsilon, float keep) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float root = sqrtf(second[i]) * root_correction + epsilon;
    weights[i] = weights[i] * keep - step * first[i] / root;
}
