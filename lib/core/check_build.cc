// lib/core/check_build.cc: a few numbers, and checksums of what every target makes of them, with
// and without fused multiply-add. No number or result is subnormal, so flush-to-zero passes.
#include "lib/core/check_build.h"

#include <atomic>

#include "lib/support/built.h"
#include "lib/support/crc32c.h"
#include "lib/support/fail.h"

namespace heed {
namespace {

constexpr size_t kCount = kKeyBlock + 1;

// 2^x: a magic number is added and subtracted.
bool PowersAreExact(const KernelTable& kernels, const float* x) {
  float powers[20];
  kernels.exp2(x, powers, 20);
  return Crc32c(powers, sizeof(powers)) == 0xc29351cc;
}

// The sums of a whole block of keys: sum * factor + probability, unfused.
bool SumsAreExact(const KernelTable& kernels, const float* x) {
  constexpr size_t kSums = 16;  // and maximum and factors are whole vectors
  const float one = 1.0f;
  float scores[kKeyBlock], maximum[kSums], sums[kSums], factors[kSums];
  for (size_t i = 0; i < kSums; ++i) {
    maximum[i] = x[5];
    sums[i] = static_cast<float>(i + 1);
  }
  LargeValues large;
  TileArgs tile;
  tile.query = &one;
  tile.rows = tile.head_dim = tile.kv.row_stride = 1;
  tile.kv.keys = tile.kv.values = x + 1;
  tile.num_keys = kKeyBlock;
  tile.scores = scores;
  tile.maximum = maximum;
  tile.sums = sums;
  tile.factors = factors;
  tile.large = &large;
  kernels.kv[Index(KvForm::kRows)].attend(tile);
  return Crc32c(sums, sizeof(sums)) == 0x1755adb4;
}

// round(x * (127 / absmax)), unfused: a product rounds to 63.5, and lies below it.
bool IntegersAreExact(const KernelTable& kernels, const float* x) {
  int8_t integers[kCount];
  float scale;
  QuantizeArgs args;
  args.input = x;
  args.rows = 1;
  args.columns = args.output_columns = args.input_stride = args.output_stride = kCount;
  args.output = integers;
  args.scales = &scale;
  kernels.quantize_rows(args);
  return Crc32c(integers, sizeof(integers)) == 0x0854e4f5;
}

}  // namespace

Status CheckBuild(const KernelTable& kernels) {
  float x[kCount];
  for (size_t i = 0; i < kCount; ++i) x[i] = static_cast<float>(i) * -0x1.1736p+0f;
  if (PowersAreExact(kernels, x) && (!built::kF32 || SumsAreExact(kernels, x)) &&
      (!built::kInt8 || IntegersAreExact(kernels, x))) {
    return Status();
  }
  return Fail(StatusCode::kBadBuild, "arithmetic",
              "rounding to nearest, and a library built without flags such as -ffast-math");
}

Status CheckBuildOnce(const KernelTable& kernels) {
  static std::atomic<const KernelTable*> checked{nullptr};
  if (checked.load(std::memory_order_relaxed) == &kernels) return Status();
  HEED_RETURN_IF_ERROR(CheckBuild(kernels));
  checked.store(&kernels, std::memory_order_relaxed);
  return Status();
}

}  // namespace heed
