// A CUDA driver, cuBLAS and cuRAND for a machine without any: device memory is main memory, our kernels run in the
// emulator, and the few kernels of candle that this program uses are written out plainly below. Slow, and no proof of
// what a card does; but the whole program goes through the calls that it makes on one. end_to_end.sh uses it.
//
// STAND_IN_MEMORY=N (bytes) is all the memory that the device has, STAND_IN_LARGEST=N the most that it gives at once;
// STAND_IN_DEVICES, STAND_IN_CAPABILITY (75 is 7.5) and
// STAND_IN_DRIVER (12020 is 12.2) play other machines.
#include "emulator.cpp"
#include <map>
#include <mutex>

namespace {
typedef int Status;
constexpr Status OK = 0, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_DEVICE = 101, UNSUPPORTED_PTX = 222, NOT_FOUND = 500;

std::mutex lock;
std::map<u64, size_t> held;
size_t in_use = 0;

long setting(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

Status allocate(u64 *address, size_t size) {
    std::lock_guard<std::mutex> guard(lock);
    if (in_use + size > (size_t)setting("STAND_IN_MEMORY", 8l << 30)) return OUT_OF_MEMORY;
    if (size > (size_t)setting("STAND_IN_LARGEST", 8l << 30)) return OUT_OF_MEMORY;
    void *memory = aligned_alloc(256, (size + 255) / 256 * 256 + 256);
    memset(memory, 0xff, size);
    *address = (u64)memory;
    held[*address] = size;
    in_use += size;
    return OK;
}

Status release(u64 address) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = held.find(address);
    if (found == held.end()) abort();
    in_use -= found->second;
    held.erase(found);
    free((void *)address);
    return OK;
}

// Element types of candle's kernels.
double load(const std::string &type, const void *p, size_t i) {
    if (type == "f32") return ((const float *)p)[i];
    if (type == "f64") return ((const double *)p)[i];
    if (type == "bf16") return __bfloat162float(((const bfloat16 *)p)[i]);
    if (type == "u32") return ((const u32 *)p)[i];
    if (type == "u8") return ((const uint8_t *)p)[i];
    fprintf(stderr, "the stand-in driver knows no type %s\n", type.c_str());
    abort();
}
void save(const std::string &type, void *p, size_t i, double x) {
    if (type == "f32") ((float *)p)[i] = x;
    else if (type == "f64") ((double *)p)[i] = x;
    else if (type == "bf16") ((bfloat16 *)p)[i] = __float2bfloat16(x);
    else if (type == "u32") ((u32 *)p)[i] = x;
    else if (type == "u8") ((uint8_t *)p)[i] = x;
    else load(type, p, i);
}

struct Arguments {
    void **list;
    size_t size(int i) const { return *(size_t *)list[i]; }
    u32 word(int i) const { return *(u32 *)list[i]; }
    void *pointer(int i) const { return *(void **)list[i]; }
};

// The place of element i of a tensor with these dimensions and strides.
size_t place(size_t i, size_t rank, const size_t *dims, const size_t *strides) {
    size_t result = 0;
    for (size_t d = rank; d-- > 0;) {
        result += i % dims[d] * strides[d];
        i /= dims[d];
    }
    return result;
}

// A kernel of candle by its name; false where it is none that is known.
bool run_candle(const std::string &name, Arguments a) {
    size_t underscore = name.find('_');
    std::string head = name.substr(0, underscore), type = name.substr(underscore + 1);
    auto unary = [&](auto function, std::string from, std::string to) {
        size_t count = a.size(0), rank = a.size(1);
        const size_t *dims = (const size_t *)a.pointer(2);
        for (size_t i = 0; i < count; i++)
            save(to, a.pointer(4), i, function(load(from, a.pointer(3), dims ? place(i, rank, dims, dims + rank) : i)));
        return true;
    };
    auto binary = [&](auto function, std::string to) {
        size_t count = a.size(0), rank = a.size(1);
        const size_t *dims = (const size_t *)a.pointer(2);
        for (size_t i = 0; i < count; i++) {
            double x = load(type, a.pointer(3), dims ? place(i, rank, dims, dims + rank) : i);
            double y = load(type, a.pointer(4), dims ? place(i, rank, dims, dims + 2 * rank) : i);
            save(to, a.pointer(5), i, function(x, y));
        }
        return true;
    };
    if (head == "cast") {
        size_t second = type.find('_');
        return unary([](double x) { return x; }, type.substr(0, second), type.substr(second + 1));
    }
    if (head == "ucopy") return unary([](double x) { return x; }, type, type);
    if (head == "uneg") return unary([](double x) { return -x; }, type, type);
    if (head == "utanh") return unary([](double x) { return tanh(x); }, type, type);
    if (head == "uexp") return unary([](double x) { return exp(x); }, type, type);
    if (head == "ulog") return unary([](double x) { return log(x); }, type, type);
    if (head == "uabs") return unary([](double x) { return fabs(x); }, type, type);
    if (head == "usqr") return unary([](double x) { return x * x; }, type, type);
    if (head == "usqrt") return unary([](double x) { return sqrt(x); }, type, type);
    if (head == "badd") return binary([](double x, double y) { return x + y; }, type);
    if (head == "bsub") return binary([](double x, double y) { return x - y; }, type);
    if (head == "bmul") return binary([](double x, double y) { return x * y; }, type);
    if (head == "bdiv") return binary([](double x, double y) { return x / y; }, type);
    if (head == "bmaximum") return binary([](double x, double y) { return fmax(x, y); }, type);
    if (head == "eq") return binary([](double x, double y) { return x == y; }, "u8");
    if (head == "affine") {
        double mul = load(type, a.list[5], 0), add = load(type, a.list[6], 0);
        return unary([=](double x) { return x * mul + add; }, type, type);
    }
    if (head == "const" && type.rfind("set_", 0) == 0) {
        std::string of = type.substr(4);
        size_t count = a.size(0), rank = a.size(1);
        const size_t *dims = (const size_t *)a.pointer(2);
        for (size_t i = 0; i < count; i++)
            save(of, a.pointer(4), dims ? place(i, rank, dims, dims + rank) : i, load(of, a.list[3], 0));
        return true;
    }
    if (head == "copy2d") {
        for (u32 i = 0; i < a.word(2); i++)
            for (u32 j = 0; j < a.word(3); j++)
                save(type, a.pointer(1), (size_t)i * a.word(5) + j, load(type, a.pointer(0), (size_t)i * a.word(4) + j));
        return true;
    }
    if (head == "fast") {
        bool small = type.rfind("sum_small_", 0) == 0, largest = type.rfind("max_", 0) == 0;
        if (!small && !largest && type.rfind("sum_", 0) != 0) return false;
        std::string of = type.substr(small ? 10 : 4);
        size_t each = a.size(1), rank = a.size(2), results = small ? a.size(0) : each ? a.size(0) / each : 0;
        const size_t *dims = (const size_t *)a.pointer(3);
        for (size_t r = 0; r < results; r++) {
            double result = largest ? -INFINITY : 0;
            for (size_t i = 0; i < each; i++) {
                double x = load(of, a.pointer(4), place(r * each + i, rank, dims, dims + rank));
                result = largest ? fmax(result, x) : result + x;
            }
            save(of, a.pointer(5), r, result);
        }
        return true;
    }
    return false;
}
}

extern "C" {
Status cuInit(unsigned) { return setting("STAND_IN_DEVICES", 1) ? OK : NO_DEVICE; }
Status cuDriverGetVersion(int *version) { return *version = setting("STAND_IN_DRIVER", 13000), OK; }
Status cuDeviceGetCount(int *count) { return *count = setting("STAND_IN_DEVICES", 1), OK; }
Status cuDeviceGet(int *device, int number) { return *device = number, number < setting("STAND_IN_DEVICES", 1) ? OK : INVALID_DEVICE; }
Status cuDeviceGetName(char *name, int size, int) { return snprintf(name, size, "stand-in"), OK; }
Status cuDeviceGetAttribute(int *value, int which, int) {
    long capability = setting("STAND_IN_CAPABILITY", 90);
    // 75, 76: compute capability; 115: memory pools.
    *value = which == 75 ? capability / 10 : which == 76 ? capability % 10 : which == 115 ? 1 : 0;
    return OK;
}
Status cuDeviceTotalMem_v2(size_t *size, int) { return *size = setting("STAND_IN_MEMORY", 8l << 30), OK; }
Status cuDevicePrimaryCtxRetain(void **context, int) { return *context = &held, OK; }
Status cuDevicePrimaryCtxRelease_v2(int) { return OK; }
Status cuCtxSetCurrent(void *) { return OK; }
Status cuCtxGetCurrent(void **context) { return *context = &held, OK; }
Status cuCtxSynchronize() { return OK; }
Status cuDeviceGetDefaultMemPool(void **pool, int) { return *pool = &held, OK; }
Status cuMemPoolSetAttribute(void *, int, void *) { return OK; }
Status cuMemGetInfo_v2(size_t *available, size_t *total) {
    cuDeviceTotalMem_v2(total, 0);
    return *available = *total - in_use, OK;
}
Status cuStreamCreate(void **stream, unsigned) { return *stream = &lock, OK; }
Status cuStreamDestroy_v2(void *) { return OK; }
Status cuStreamSynchronize(void *) { return OK; }
Status cuStreamWaitEvent(void *, void *, unsigned) { return OK; }
Status cuStreamIsCapturing(void *, int *status) { return *status = 0, OK; }
Status cuEventCreate(void **event, unsigned) { return *event = &lock, OK; }
Status cuEventRecord(void *, void *) { return OK; }
Status cuEventDestroy_v2(void *) { return OK; }
Status cuEventSynchronize(void *) { return OK; }
Status cuMemAlloc_v2(u64 *address, size_t size) { return allocate(address, size); }
Status cuMemAllocAsync(u64 *address, size_t size, void *) { return allocate(address, size); }
Status cuMemFree_v2(u64 address) { return release(address); }
Status cuMemFreeAsync(u64 address, void *) { return release(address); }
Status cuMemcpyHtoDAsync_v2(u64 to, const void *from, size_t size, void *) { return memcpy((void *)to, from, size), OK; }
Status cuMemcpyDtoHAsync_v2(void *to, u64 from, size_t size, void *) { return memcpy(to, (void *)from, size), OK; }
Status cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t size, void *) { return memmove((void *)to, (void *)from, size), OK; }
Status cuMemsetD8Async(u64 to, unsigned char value, size_t size, void *) { return memset((void *)to, value, size), OK; }
Status cuMemsetD8_v2(u64 to, unsigned char value, size_t size) { return memset((void *)to, value, size), OK; }
Status cuModuleLoadData(void **module, const void *) {
    *module = &held;
    return setting("STAND_IN_DRIVER", 13000) < 13000 ? UNSUPPORTED_PTX : OK;
}
Status cuModuleUnload(void *) { return OK; }
// A function is its name, which lives for ever.
Status cuModuleGetFunction(void **function, void *, const char *name) { return *function = strdup(name), OK; }
Status cuFuncSetAttribute(void *, int, int) { return OK; }
Status cuGetErrorName(Status status, const char **text) {
    return *text = status == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR", OK;
}
Status cuGetErrorString(Status status, const char **text) {
    return *text = status == OUT_OF_MEMORY ? "out of memory" : "error", OK;
}
Status cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned, unsigned,
                      void *, void **arguments, void **) {
    std::lock_guard<std::mutex> guard(lock);
    std::string name = (const char *)function;
    auto found = kernels.find(name);
    if (found != kernels.end()) {
        unsigned grid[3] = {x, y, z};
        return emulate((name + " " + found->second.parameters).c_str(), grid, threads, arguments, 0);
    }
    if (run_candle(name, {arguments})) return OK;
    fprintf(stderr, "the stand-in driver knows no kernel %s\n", name.c_str());
    return NOT_FOUND;
}

Status cublasCreate_v2(void **handle) { return *handle = &lock, OK; }
Status cublasDestroy_v2(void *) { return OK; }
Status cublasSetStream_v2(void *, void *) { return OK; }
// Column-major, as cuBLAS has it; types 0 (float) and 14 (bfloat16).
Status cublasGemmStridedBatchedEx(void *, int transpose_a, int transpose_b, int m, int n, int k, const void *alpha,
                                  const void *a, int type_a, int lda, long long stride_a, const void *b, int type_b,
                                  int ldb, long long stride_b, const void *beta, void *c, int type_c, int ldc,
                                  long long stride_c, int batches, int, int) {
    auto type = [](int code) -> std::string { return code == 0 ? "f32" : code == 14 ? "bf16" : "unknown"; };
    std::string of_a = type(type_a), of_b = type(type_b), of_c = type(type_c);
    float scale = *(const float *)alpha, keep = *(const float *)beta;
    std::vector<double> left((size_t)m * k), right((size_t)k * n);
    for (int batch = 0; batch < batches; batch++) {
        for (int i = 0; i < m; i++)
            for (int p = 0; p < k; p++)
                left[(size_t)i * k + p] = load(of_a, a, batch * stride_a + (transpose_a ? p + (size_t)i * lda : i + (size_t)p * lda));
        for (int j = 0; j < n; j++)
            for (int p = 0; p < k; p++)
                right[(size_t)j * k + p] = load(of_b, b, batch * stride_b + (transpose_b ? j + (size_t)p * ldb : p + (size_t)j * ldb));
        for (int j = 0; j < n; j++)
            for (int i = 0; i < m; i++) {
                double sum = 0;
                for (int p = 0; p < k; p++) sum += left[(size_t)i * k + p] * right[(size_t)j * k + p];
                size_t place = batch * stride_c + i + (size_t)j * ldc;
                save(of_c, c, place, scale * sum + (keep ? keep * load(of_c, c, place) : 0));
            }
    }
    return OK;
}

Status curandCreateGenerator(void **generator, int) { return *generator = &lock, OK; }
Status curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return OK; }
Status curandSetStream(void *, void *) { return OK; }
Status curandDestroyGenerator(void *) { return OK; }
Status curandGenerateNormal(void *, float *out, size_t count, float mean, float deviation) {
    for (size_t i = 0; i < count; i++) out[i] = mean + deviation * sin(12.9898 * i) * 1.4;
    return OK;
}
}
