// Picking rows of a matrix, and sums over rows. All sums have a fixed order.
#include "numbers.cuh"

constexpr u32 LANES = 8;

// The sums of slabs of `slab` rows, [slabs][width].
// grid: groups of 32 columns, slabs; 256 threads
template <typename T> __device__ void row_sum(const T *input, u32 rows, u32 width, u32 slab, float *out) {
    __shared__ float sums[LANES][32];
    u32 column = blockIdx.x * 32 + threadIdx.x % 32, lane = threadIdx.x / 32;
    u32 first = blockIdx.y * slab, last = min(first + slab, rows);
    float sum = 0;
    if (column < width)
        for (u32 row = first + lane; row < last; row += LANES) sum += read(input[(u64)row * width + column]);
    sums[lane][threadIdx.x % 32] = sum;
    __syncthreads();
    if (lane == 0 && column < width) {
        for (u32 i = 1; i < LANES; i++) sum += sums[i][threadIdx.x];
        out[(u64)blockIdx.y * width + column] = sum;
    }
}

// Adds up what slabs gave, [slabs][count].
template <typename T> __device__ void sum_slabs(const float *slabs, u32 number, u32 count, T *out) {
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    float sum = 0;
    for (u32 slab = 0; slab < number; slab++) sum += slabs[(u64)slab * count + i];
    out[i] = as<T>(sum);
}

// Row i of the result is row ids[i] of the input.
template <typename T> __device__ void select_rows(const T *input, const u32 *ids, u64 count, u32 width, T *out) {
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) out[i] = input[(u64)ids[i / width] * width + i % width];
}

// Row r of the result is the sum of the rows of `gradient` that were picked from it: order[starts[r] .. starts[r + 1]].
// grid: rows, groups of 32 columns; 256 threads
template <typename T>
__device__ void select_rows_gradient(const T *gradient, const u32 *order, const u32 *starts, u32 width, T *out) {
    __shared__ float sums[LANES][32];
    u32 column = blockIdx.y * 32 + threadIdx.x % 32, lane = threadIdx.x / 32;
    u32 first = starts[blockIdx.x], last = starts[blockIdx.x + 1];
    float sum = 0;
    if (column < width)
        for (u32 i = first + lane; i < last; i += LANES) sum += read(gradient[(u64)order[i] * width + column]);
    sums[lane][threadIdx.x % 32] = sum;
    __syncthreads();
    if (lane == 0 && column < width) {
        for (u32 i = 1; i < LANES; i++) sum += sums[i][threadIdx.x];
        out[(u64)blockIdx.x * width + column] = as<T>(sum);
    }
}

#define ROW_SUM_PARAMETERS(T) (const T *input, u32 rows, u32 width, u32 slab, float *out)
FOR_BOTH_TYPES(row_sum, ROW_SUM_PARAMETERS, (input, rows, width, slab, out))
#define SLAB_PARAMETERS(T) (const float *slabs, u32 number, u32 count, T *out)
FOR_BOTH_TYPES(sum_slabs, SLAB_PARAMETERS, (slabs, number, count, out))
#define SELECT_PARAMETERS(T) (const T *input, const u32 *ids, u64 count, u32 width, T *out)
FOR_BOTH_TYPES(select_rows, SELECT_PARAMETERS, (input, ids, count, width, out))
#define SELECT_GRADIENT_PARAMETERS(T) (const T *gradient, const u32 *order, const u32 *starts, u32 width, T *out)
FOR_BOTH_TYPES(select_rows_gradient, SELECT_GRADIENT_PARAMETERS, (gradient, order, starts, width, out))
