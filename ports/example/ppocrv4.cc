// ports/example/ppocrv4.cc: the two attention layers of PP-OCRv4's text recogniser on a line of
// text, against the outputs of the model's own engine. Shapes are constants, so the compiler knows
// the size of all memory. What it refuses to do: read other shapes or other kinds of .npy.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "heed/attention.h"

#if !defined(__has_feature)
#define __has_feature(feature) 0
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer)
#define HEED_COUNTS_ALLOCATIONS 1
#else
#define HEED_COUNTS_ALLOCATIONS 0
#endif

namespace {
volatile size_t allocations = 0;  // calls of malloc and its kin by the whole program
}

#if HEED_COUNTS_ALLOCATIONS
// Replaces the C library's allocator, also in a static program, by one that counts and never takes
// memory back: the buffers of a few files. operator new arrives here through malloc.
namespace {
alignas(4096) std::byte arena[1 << 20];
size_t arena_used = 0;

void* Allocate(size_t alignment, size_t size) {
  allocations = allocations + 1;
  alignment = std::max(alignment, alignof(std::max_align_t));
  // The size is stored before the memory, for realloc.
  const size_t begin = (arena_used + sizeof(size) + alignment - 1) / alignment * alignment;
  if (begin > sizeof(arena) || size > sizeof(arena) - begin) {
    errno = ENOMEM;
    return nullptr;
  }
  memcpy(arena + begin - sizeof(size), &size, sizeof(size));
  arena_used = begin + size;
  return arena + begin;
}
}  // namespace

extern "C" {
void* malloc(size_t size) noexcept { return Allocate(0, size); }
void free(void*) noexcept {}
void* calloc(size_t count, size_t size) noexcept {
  return Allocate(0, size != 0 && count > SIZE_MAX / size ? SIZE_MAX : count * size);
}
void* realloc(void* old, size_t size) noexcept {
  void* const fresh = Allocate(0, size);
  if (old == nullptr || fresh == nullptr) return fresh;
  size_t old_size;
  memcpy(&old_size, static_cast<std::byte*>(old) - sizeof(old_size), sizeof(old_size));
  return memcpy(fresh, old, std::min(old_size, size));
}
void* memalign(size_t alignment, size_t size) noexcept { return Allocate(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) noexcept { return Allocate(alignment, size); }
int posix_memalign(void** memory, size_t alignment, size_t size) noexcept {
  *memory = Allocate(alignment, size);
  return *memory != nullptr ? 0 : ENOMEM;
}
}
#endif

namespace {

constexpr heed::AttentionConfig MakeConfig() {
  heed::AttentionConfig config;
  config.embed_dim = 120;
  config.num_heads = 8;
  config.q_bias = config.k_bias = config.v_bias = config.out_bias = true;
  return heed::Resolved(config);
}
constexpr heed::AttentionConfig kConfig = MakeConfig();
constexpr size_t kBatch = 1;
constexpr size_t kLen = 57;
constexpr size_t kCount = kBatch * kLen * kConfig.embed_dim;
constexpr heed::Limits kLimits = {kBatch, kLen};
constexpr double kErrorBound = 1e-5;  // of |y|max, against the model's own engine
constexpr size_t kRuns = 201;         // odd: the median is one of them

alignas(64) std::byte packed[heed::PackedWeightsBytes(kConfig)];
alignas(64) std::byte block[heed::WorkspaceBytes(kConfig, kLimits)];
float x[kCount], output[kCount];
double numbers[kCount], y[kCount], y64[kCount];

[[noreturn]] __attribute__((format(printf, 1, 2))) void Fail(const char* format, ...) {
  fflush(stdout);
  fputs("heed: error: ", stderr);
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputs("\n", stderr);
  exit(1);
}

void Check(const char* path, const heed::Status& status) {
  char sentence[200];
  heed::FormatStatus(status, sentence, sizeof(sentence));
  if (!status.ok()) Fail("%s: %s", path, sentence);
}

// Returns the file's size.
size_t ReadFile(const char* path, void* buffer, size_t capacity) {
  FILE* const file = fopen(path, "rb");
  if (file == nullptr) Fail("%s: %s", path, strerror(errno));
  const size_t size = fread(buffer, 1, capacity, file);
  const bool longer = fgetc(file) != EOF;
  if (ferror(file)) Fail("%s: %s", path, strerror(errno));
  fclose(file);
  if (longer) Fail("%s: expected at most %zu bytes, got more", path, capacity);
  return size;
}

// A .npy of version 1.0 with the header that numpy writes for type[kBatch][kLen][kEmbedDim].
bool HasHeader(const char* header, size_t header_bytes, const char* type) {
  char expected[128];
  const int length = snprintf(expected, sizeof(expected),
                              "{'descr': '%s', 'fortran_order': False, 'shape': (%zu, %zu, %u), }",
                              type, kBatch, kLen, kConfig.embed_dim);
  const size_t count = static_cast<size_t>(length);
  if (header_bytes <= count || memcmp(header, expected, count) != 0) return false;
  return std::all_of(header + count, header + header_bytes - 1, [](char c) { return c == ' '; }) &&
         header[header_bytes - 1] == '\n';
}

template <typename Stored>
void ReadPayload(const char* path, const char* payload, size_t bytes, double* values) {
  if (bytes != kCount * sizeof(Stored)) {
    Fail("%s: numbers: expected %zu bytes, got %zu", path, kCount * sizeof(Stored), bytes);
  }
  for (size_t i = 0; i < kCount; ++i) {
    Stored value;
    memcpy(&value, payload + i * sizeof(Stored), sizeof(Stored));
    values[i] = static_cast<double>(value);
  }
}

// values[kCount] from FOLDER/layerN_NAME.npy, float32 or float64.
void ReadNpy(const char* folder, int index, const char* name, double* values) {
  char path[4096];
  const int length = snprintf(path, sizeof(path), "%s/layer%d_%s.npy", folder, index, name);
  if (static_cast<size_t>(length) >= sizeof(path)) Fail("DIR: longer than %zu", sizeof(path));
  static char contents[1024 + kCount * sizeof(double)];
  const size_t size = ReadFile(path, contents, sizeof(contents));
  constexpr size_t kPreamble = 10;  // magic, version, 16-bit length of the header
  if (size < kPreamble || memcmp(contents, "\x93NUMPY\x01\x00", 8) != 0) {
    Fail("%s: expected a .npy of version 1.0", path);
  }
  const size_t header_bytes =
      static_cast<uint8_t>(contents[8]) + 256u * static_cast<uint8_t>(contents[9]);
  if (header_bytes > size - kPreamble) {
    Fail("%s: header: expected %zu bytes, got %zu", path, header_bytes, size - kPreamble);
  }
  const char* const header = contents + kPreamble;
  const char* const payload = header + header_bytes;
  const size_t payload_bytes = size - kPreamble - header_bytes;
  if (HasHeader(header, header_bytes, "<f4")) {
    ReadPayload<float>(path, payload, payload_bytes, values);
  } else if (HasHeader(header, header_bytes, "<f8")) {
    ReadPayload<double>(path, payload, payload_bytes, values);
  } else {
    const char* end = std::find_if(header, header + std::min<size_t>(header_bytes, 80),
                                   [](char c) { return c < ' ' || c > '~'; });
    while (end > header && end[-1] == ' ') --end;
    Fail("%s: expected float32 or float64 of shape (%zu, %zu, %u) in C order, got %.*s", path,
         kBatch, kLen, kConfig.embed_dim, static_cast<int>(end - header), header);
  }
}

// max|output - expected| / max|expected|; NaN where the output has one.
double RelativeError(const double* expected) {
  double worst = 0.0, largest = 0.0;
  for (size_t i = 0; i < kCount; ++i) {
    const double difference = std::abs(static_cast<double>(output[i]) - expected[i]);
    if (difference > worst || std::isnan(difference)) worst = difference;
    largest = std::max(largest, std::abs(expected[i]));
  }
  return worst / largest;
}

void RunLayer(const char* folder, int index, const char* packed_path) {
  const heed::ConstBytes file(packed, ReadFile(packed_path, packed, sizeof(packed)));
  ReadNpy(folder, index, "x", numbers);
  ReadNpy(folder, index, "y", y);
  ReadNpy(folder, index, "y64", y64);
  std::transform(numbers, numbers + kCount, x, [](double v) { return static_cast<float>(v); });

  heed::Weights weights;
  Check(packed_path, heed::Weights::Open(file, &weights));
  Check(packed_path, weights.Verify());
  heed::ForwardArgs args;
  args.query = heed::ConstTensorView(x, kBatch, kLen, kConfig.embed_dim);
  args.output = heed::TensorView(output, kBatch, kLen, kConfig.embed_dim);

  const size_t allocations_before = allocations;
  heed::Attention layer;
  Check(packed_path, heed::Attention::Create(kConfig, kLimits, weights, block, &layer));
  Check(packed_path, layer.Forward(args));
  double microseconds[kRuns];
  for (double& time : microseconds) {
    const auto start = std::chrono::steady_clock::now();
    const heed::Status status = layer.Forward(args);
    const auto end = std::chrono::steady_clock::now();
    Check(packed_path, status);
    time = std::chrono::duration<double, std::micro>(end - start).count();
  }
  const size_t allocated = allocations - allocations_before;
  std::sort(microseconds, microseconds + kRuns);

  heed::Explanation explanation;
  Check(packed_path, layer.Explain(args, &explanation));
  const double error = RelativeError(y);
  printf("PP-OCRv4 text recogniser, attention layer %d\n", index);
  printf("  shape        batch %zu, length %zu, embed_dim %u, heads %u, head_dim %u\n", kBatch,
         kLen, kConfig.embed_dim, kConfig.num_heads, kConfig.head_dim);
  printf("  target       %s\n", explanation.target);
  printf("  time         median %.1f us, minimum %.1f us of %zu runs\n", microseconds[kRuns / 2],
         microseconds[0], kRuns);
  printf("  error        %.1e of |y|max against the model's engine, %.1e against float64\n", error,
         RelativeError(y64));
  printf("  bytes        packed file %llu, block %llu\n",
         static_cast<unsigned long long>(explanation.weight_bytes),
         static_cast<unsigned long long>(explanation.workspace_bytes));
#if HEED_COUNTS_ALLOCATIONS
  printf("  allocations in Create and Forward: %zu\n", allocated);
#else
  printf("  allocations in Create and Forward: not counted here\n");
#endif
  if (!(error <= kErrorBound)) {
    Fail("layer %d: error: expected at most %.0e, got %.1e", index, kErrorBound, error);
  }
  if (allocated != 0) Fail("layer %d: allocations: expected 0, got %zu", index, allocated);
}

// One planted call each of malloc and operator new must be seen.
void CheckCounter() {
  const size_t before = allocations;
  void* volatile first = malloc(1);
  void* volatile second = ::operator new(1);
  const size_t seen = allocations - before;
  ::operator delete(second);
  free(first);
  if (HEED_COUNTS_ALLOCATIONS && seen != 2) {
    Fail("counter of allocations: expected 2, got %zu", seen);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fputs("usage: heed_ppocrv4 DIR PACKED0 PACKED1\n", stderr);
    return 2;
  }
  CheckCounter();
  for (int index = 0; index < 2; ++index) RunLayer(argv[1], index, argv[2 + index]);
  return 0;
}
