// tests/unit/check_build_test.cc: Create refuses code, or a mode of the CPU, that gives other bits.
// tests/install/flags.sh tries code that a compiler's flags have spoiled.
#include <doctest/doctest.h>

#include <cfenv>
#include <cstring>
#include <vector>

#include "heed/attention.h"
#include "lib/core/check_build.h"
#include "tests/support/float_mode.h"
#include "tests/support/layer.h"
#include "tests/support/memory.h"
#include "tests/support/tables.h"

namespace heed::test {
namespace {

// While it lives, this thread rounds as `mode` says.
class Rounding {
 public:
  explicit Rounding(int mode) : before_(std::fegetround()) { std::fesetround(mode); }
  ~Rounding() { std::fesetround(before_); }
  Rounding(const Rounding&) = delete;
  Rounding& operator=(const Rounding&) = delete;

 private:
  const int before_;
};

// 2^x where x + magic - magic was folded.
void FoldedExp2(const float* input, float* output, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    output[i] = 1.0f;
    for (float x = input[i]; x < -0.5f; x += 1.0f) output[i] *= 0.5f;
  }
}

TEST_CASE("every table passes, whether subnormals are flushed to zero or not") {
  for (const KernelTable* table : AllTables()) {
    for (const bool flush : {false, true}) {
      const FlushToZero mode(flush);
      CHECK_MESSAGE(CheckBuild(*table).ok(), table->name);
      CHECK(CheckBuildOnce(*table).ok());
    }
  }
}

TEST_CASE("a table that computes other bits is a bad build") {
  for (const KernelTable* table : AllTables()) {
    KernelTable folded = *table;
    folded.exp2 = FoldedExp2;
    CHECK(CheckBuild(folded).code == StatusCode::kBadBuild);
    CHECK(CheckBuildOnce(folded).code == StatusCode::kBadBuild);
    KernelTable other = *table;
    other.quantize_rows = [](const QuantizeArgs& args) { memset(args.output, 0, args.columns); };
    CHECK(CheckBuild(other).code == StatusCode::kBadBuild);
    other = *table;
    other.kv[Index(KvForm::kRows)].attend = [](const TileArgs&) {};
    CHECK(CheckBuild(other).code == StatusCode::kBadBuild);
  }
}

// Armv7's NEON rounds to nearest whatever the mode.
#if defined(FE_UPWARD) && defined(FE_DOWNWARD) && defined(FE_TOWARDZERO) && !defined(__arm__)
TEST_CASE("Create refuses a thread that does not round to nearest, and writes nothing") {
  Random random(1);
  const AlignedBytes file = Pack(NormalLayer(Shape(16, 2), random));
  Weights weights;
  REQUIRE(Weights::Open(file.bytes(), &weights).ok());
  Limits limits;
  limits.max_query_len = 3;
  AlignedBytes block(WorkspaceBytes(weights.config(), limits));
  const auto before = block.Copy();
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    if (std::fesetround(mode) != 0) continue;  // not on this CPU
    std::fesetround(FE_TONEAREST);
    ForEachTarget([&](const char* target) {
      CreateOptions options;
      options.target = target;
      Attention layer;
      const Status status = [&] {
        const Rounding rounding(mode);
        return Attention::Create(limits, weights, block.bytes(), &layer, options);
      }();
      CHECK(status.code == StatusCode::kBadBuild);
      CHECK(!layer.is_created());
      CHECK(block.Copy() == before);
      CHECK(Attention::Create(limits, weights, block.bytes(), &layer, options).ok());
      memcpy(block.data(), before.data(), before.size());
    });
  }
}
#endif

}  // namespace
}  // namespace heed::test
