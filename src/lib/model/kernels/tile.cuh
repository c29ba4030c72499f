// A 64 x 64 product computed by a block of 256 threads from operands in shared memory.
//
// float goes through multiply-add, 4 x 4 results for each thread. bfloat16 goes through the tensor cores, 16 x 32 results
// for each of the eight warps, summed in float. Both take the left operand as rows of LEFT numbers (64 rows, DEPTH of
// them used) and the right one as rows of RIGHT numbers (DEPTH rows, 64 used). The strides keep the 32 bytes of alignment
// that fragments want.
#pragma once
#include "numbers.cuh"

constexpr int TILE = 64;
constexpr int DEPTH = 32;
constexpr int THREADS = 256;
constexpr int LEFT = DEPTH + 8;
constexpr int RIGHT = TILE + 8;
constexpr int STAGE = TILE + 4;

template <typename T> struct Tile;

template <> struct Tile<float> {
    float sums[4][4];

    __device__ void clear() {
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) sums[i][j] = 0;
    }

    // Adds left x right; rows of the left operand are `stride` apart.
    __device__ void add(const float *left, int stride, const float *right) {
        int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
#pragma unroll 8
        for (int k = 0; k < DEPTH; k++) {
            float a[4], b[4];
            for (int i = 0; i < 4; i++) a[i] = left[(row + i) * stride + k];
            for (int j = 0; j < 4; j++) b[j] = right[k * RIGHT + column + j];
            for (int i = 0; i < 4; i++)
                for (int j = 0; j < 4; j++) sums[i][j] += a[i] * b[j];
        }
    }

    // Writes the result to `stage`, rows of STAGE numbers.
    __device__ void store(float *stage) const {
        int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) stage[(row + i) * STAGE + column + j] = sums[i][j];
    }
};

template <> struct Tile<bfloat16> {
    nvcuda::wmma::fragment<nvcuda::wmma::accumulator, 16, 16, 16, float> sums[2];

    __device__ void clear() {
        nvcuda::wmma::fill_fragment(sums[0], 0.0f);
        nvcuda::wmma::fill_fragment(sums[1], 0.0f);
    }

    __device__ void add(const bfloat16 *left, int stride, const bfloat16 *right) {
        using namespace nvcuda::wmma;
        int warp = threadIdx.x / 32, row = warp / 2 * 16, column = warp % 2 * 32;
        for (int k = 0; k < DEPTH; k += 16) {
            fragment<matrix_a, 16, 16, 16, bfloat16, row_major> a;
            load_matrix_sync(a, left + row * stride + k, stride);
            for (int j = 0; j < 2; j++) {
                fragment<matrix_b, 16, 16, 16, bfloat16, row_major> b;
                load_matrix_sync(b, right + k * RIGHT + column + 16 * j, RIGHT);
                mma_sync(sums[j], a, b, sums[j]);
            }
        }
    }

    __device__ void store(float *stage) const {
        using namespace nvcuda::wmma;
        int warp = threadIdx.x / 32, row = warp / 2 * 16, column = warp % 2 * 32;
        for (int j = 0; j < 2; j++)
            store_matrix_sync(stage + row * STAGE + column + 16 * j, sums[j], STAGE, mem_row_major);
    }
};
