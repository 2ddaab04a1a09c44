// tests/device/layer_main.cc: the smallest firmware. It runs one packed layer and nothing else, so
// that its size and its stack are those of an application.
#include <cstddef>

#include "board/board.h"
#include "tests/device/checksum.h"
#include "tests/device/real_layer.h"

namespace {

using namespace heed::test;

// The layer of the one type that the library is built with; of all types, the float one.
#if defined(HEED_TYPES_INT8)
constexpr auto kRun = RunInt8Layer;
constexpr size_t kBytes = kInt8LayerBytes;
constexpr uint32_t kChecksum = kInt8LayerChecksum;
#else
constexpr auto kRun = RunRealLayer;
constexpr size_t kBytes = kRealLayerBytes;
constexpr uint32_t kChecksum = kRealLayerChecksum;
#endif
alignas(64) std::byte memory[kBytes];

}  // namespace

int main() {
  const CaseResult result = kRun(CaseOptions(), heed::MutableBytes(memory, sizeof(memory)));
  const bool good = result.status.ok() && Checksum(result.values, result.count) == kChecksum;
  for (const char* text = good ? "bits equal\n" : "FAILED\n"; *text != '\0'; ++text) {
    heed_board_put(*text);
  }
  return good ? 0 : 1;
}
