// tests/device/layer_main.cc: the smallest firmware. It runs one packed layer and nothing else, so
// that its size and its stack are those of an application.
#include <cstddef>

#include "board/board.h"
#include "tests/device/checksum.h"
#include "tests/device/real_layer.h"

namespace {
alignas(64) std::byte memory[heed::test::kRealLayerBytes];
}

int main() {
  using namespace heed::test;
  const CaseResult result = RunRealLayer(CaseOptions(), heed::MutableBytes(memory, sizeof(memory)));
  const bool good =
      result.status.ok() && Checksum(result.values, result.count) == kRealLayerChecksum;
  for (const char* text = good ? "bits equal\n" : "FAILED\n"; *text != '\0'; ++text) {
    heed_board_put(*text);
  }
  return good ? 0 : 1;
}
